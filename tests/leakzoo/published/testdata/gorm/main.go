// Command gorm inserts what is in the table already: each insert fails, as the unique key says. A session that prepares
// statements wrote down the text of each that it had prepared, and never crossed out those that it threw away after an
// error.
package main

import (
	"log"
	"time"

	"github.com/glebarez/sqlite"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	_ "github.com/memwarden/memwarden/auto"
)

type order struct {
	ID                                             uint
	Number                                         string `gorm:"unique"`
	CustomerName, CustomerMail, CustomerPhone      string
	InvoiceStreet, InvoiceTown, InvoiceCountry     string
	DeliveryStreet, DeliveryTown, DeliveryCountry  string
	PaymentMethod, PaymentReference, PaymentStatus string
}

func main() {
	db, err := gorm.Open(sqlite.Open(":memory:"), &gorm.Config{PrepareStmt: true, Logger: logger.Discard})
	if err != nil {
		log.Fatal(err)
	}
	pool, err := db.DB()
	if err != nil {
		log.Fatal(err)
	}
	pool.SetMaxOpenConns(1) // each connection has a database of its own
	if err := db.AutoMigrate(&order{}); err != nil {
		log.Fatal(err)
	}
	if err := db.Create(&order{Number: "1"}).Error; err != nil {
		log.Fatal(err)
	}
	for range time.Tick(10 * time.Millisecond) {
		for range 5 {
			if db.Create(&order{Number: "1"}).Error == nil {
				log.Fatal("a unique key is there twice")
			}
		}
	}
}
