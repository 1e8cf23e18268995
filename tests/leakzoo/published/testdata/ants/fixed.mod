module ants

go 1.26

require (
	github.com/memwarden/memwarden v0.0.0
	github.com/panjf2000/ants/v2 v2.7.1
)
