module watermill

go 1.26

require (
	github.com/ThreeDotsLabs/watermill v1.4.7
	github.com/memwarden/memwarden v0.0.0
)

require (
	github.com/google/uuid v1.6.0 // indirect
	github.com/lithammer/shortuuid/v3 v3.0.7 // indirect
	github.com/oklog/ulid v1.3.1 // indirect
	github.com/pkg/errors v0.9.1 // indirect
)
