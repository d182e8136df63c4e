// Selfupdate replaces an executable with github.com/minio/selfupdate alone, as most programs that use it do: the control of G11.
//
//	selfupdate TARGET FILE
package main

import (
	"log"
	"os"

	"github.com/minio/selfupdate"
)

func main() {
	f, err := os.Open(os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	if err := selfupdate.Apply(f, selfupdate.Options{TargetPath: os.Args[1]}); err != nil {
		log.Fatal(err)
	}
}
