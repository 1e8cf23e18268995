module clientgolang

go 1.26
