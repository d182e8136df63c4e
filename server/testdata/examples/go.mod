module example.test/moult

go 1.26.0

require github.com/moult-go/moult v0.0.0

replace github.com/moult-go/moult => ../../..
