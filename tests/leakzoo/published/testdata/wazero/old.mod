module wazero

go 1.26

require (
	github.com/memwarden/memwarden v0.0.0
	github.com/tetratelabs/wazero v1.2.1
)
