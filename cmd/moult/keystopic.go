package main

import "github.com/spf13/cobra"

// newKeysTopic is a page of help, no command.
func newKeysTopic() *cobra.Command {
	return &cobra.Command{
		Use:   "keys",
		Short: "Where keys and passphrases may come from",
		Long: `A key is looked for in the directory of the keys (--keys, default DIR-keys): targets.key, online.key and root.key, and more of a role as
targets-2.key and so on. It is named otherwise by --targets-key, --online-key and --root-key, once for each key:

  FILE                             a PEM file, encrypted or not, that nobody else may read
  env:NAME                         a variable that holds the PEM text; it is taken out of the environment
  cmd:COMMAND                      a command that prints the PEM text: a secret manager
  sign:PUBLICKEYFILE:COMMAND       a command that signs: it gets the bytes to sign on standard input and prints the 64 bytes of the Ed25519
                                   signature, raw, in hexadecimal or base64. The public key is PEM, hexadecimal or base64.

The directory of the keys then holds root.json only, the root that is trusted.

An encrypted key is opened by --passphrase-file FILE, --passphrase-env NAME or --passphrase-cmd COMMAND, or asked for on the terminal. A role has a
passphrase of its own by --passphrase-for ROLE=SOURCE, with FILE, env:NAME or cmd:COMMAND, once for each key.

Commands are run by the shell, in a process group of their own, for two minutes at the most; they cannot ask on the terminal. Secrets are never arguments
nor in the environment of what is run.`,
		Example: `  moult publish feed dist --targets-key 'cmd:vault kv get -field=key secret/hello' --online-key env:ONLINE_KEY
  moult root sign change.json --root-key 'sign:ann.pub:token-sign --slot 1'
  moult refresh feed --passphrase-for online=/run/credentials/online`,
	}
}
