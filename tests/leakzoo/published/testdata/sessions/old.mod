module sessions

go 1.26

require (
	github.com/gorilla/sessions v1.1.3
	github.com/memwarden/memwarden v0.0.0
)

require (
	github.com/gorilla/context v1.1.1 // indirect
	github.com/gorilla/securecookie v1.1.1 // indirect
)
