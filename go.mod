module github.com/memwarden/memwarden

go 1.26

// Packages of npm may have Go files in them, which ./... would take for ours.
ignore ./web
