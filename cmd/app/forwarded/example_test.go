package forwarded_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/moult-go/moult/cmd/app/forwarded"
)

func Example() {
	trust, err := forwarded.ParseTrust([]string{"10.0.0.0/8"})
	if err != nil {
		panic(err)
	}
	r := httptest.NewRequest("GET", "http://site.example/", nil)
	r.RemoteAddr = "10.1.2.3:4567"
	r.Header.Set("X-Forwarded-For", "192.0.2.66, 198.51.100.7") // the first is what the client claims
	fmt.Println(trust.Client(r))

	out := http.Header{}
	trust.Set(out, r)
	fmt.Println(out.Get("X-Forwarded-For"))
	fmt.Println(out.Get("Forwarded"))
	// Output:
	// 198.51.100.7
	// 192.0.2.66, 198.51.100.7, 10.1.2.3
	// for=10.1.2.3;host="site.example";proto=http
}
