module github.com/memwarden/memwarden/examples/check

go 1.26
