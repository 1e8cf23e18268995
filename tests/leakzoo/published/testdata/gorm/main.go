// Command gorm gives one row the number of another: each update fails, because numbers are unique. A session that prepares
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
	if err := db.Create([]order{{Number: "1"}, {Number: "2"}}).Error; err != nil {
		log.Fatal(err)
	}
	for next := time.Now(); ; next = next.Add(10 * time.Millisecond) {
		time.Sleep(time.Until(next)) // none if it is late
		for range 5 {
			if db.Where("number = ?", "2").Updates(&order{Number: "1", CustomerName: "N", InvoiceTown: "T", DeliveryTown: "T"}).Error == nil {
				log.Fatal("a unique number is there twice")
			}
		}
	}
}
