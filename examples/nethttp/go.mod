module github.com/memwarden/memwarden/examples/nethttp

go 1.26
