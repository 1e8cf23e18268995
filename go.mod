module github.com/memwarden/memwarden

go 1.26
