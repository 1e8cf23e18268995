module github.com/memwarden/memwarden/examples/auto

go 1.26
