module gorm

go 1.26
