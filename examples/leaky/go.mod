module github.com/memwarden/memwarden/examples/leaky

go 1.26
