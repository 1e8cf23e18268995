module github.com/memwarden/memwarden/bench

go 1.26
