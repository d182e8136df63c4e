// App is the reference server: it serves the files of a directory, passes requests on to other servers, and updates itself.
//
//	app serve --dir /srv/www --feed https://example.com/app --root root.json
//	app serve --proxy http://127.0.0.1:9000 --access-log access.log
//
// Its command line is that of package command. The packages below it make its handler: static, proxy, accesslog and forwarded. The build tags exits,
// hangs, mute and crashy make versions that fail, each in its own way, for demonstrations and tests.
package main
