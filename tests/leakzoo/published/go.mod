module github.com/memwarden/memwarden/tests/leakzoo/published

go 1.26
