module otel

go 1.26
