// Package config gives the flags of a command values from the environment and from a TOML file, so that whatever can be typed can be
// configured, and says where each value came from.
//
//	fl.StringVar(&addr, "listen", "localhost:8080", "address to listen on")
//	config.Flag(fl) // adds --config
//	fl.Parse(args)
//	settings, err := config.Read(fl, config.Options{Program: "hello"})
//
// # Order
//
// A flag that was typed goes before the environment, that before the file, and that before the default. A list is replaced as a
// whole, never mixed.
//
// # Names
//
// The key in the file is the name of the flag; a dot in it is a table. The variable is the program's name and the
// flag's in capitals, with an underscore for what is neither letter nor digit:
//
//	--drain-timeout 30s         drain-timeout = "30s"         HELLO_DRAIN_TIMEOUT=30s
//	--listen :80 --listen :81   listen = [":80", ":81"]       HELLO_LISTEN='[":80", ":81"]'
//	--h2c                       h2c = true                    HELLO_H2C=true
//
// The file is named by --config or HELLO_CONFIG. There is none by default. A list of one may stand plain in the environment; a variable
// that is empty counts as not set.
//
// # Mistakes
//
// Read reports all of them at once, in an [*Error]: a key or variable that no flag knows, with the nearest ones that exist, a value of
// the wrong type with what is wanted, each with its file and line. Nothing that is misspelled is silently without effect. Variables by which
// Kubernetes and Docker tell of a service that has the program's name are not taken for settings.
//
// # Secrets
//
// A setting is shown to whoever may look: in status, logs and on pages. So a secret is never the value of a flag; the name of
// a file that holds it is. User and password in a URL are hidden all the same.
package config
