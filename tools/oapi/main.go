//go:build generated

// Command oapi uses a client that oapi-codegen has made of the OpenAPI document, in the
// same package, to see that what is made compiles and works. A test of agent/web makes it
// and runs this against an agent: its only argument is where that is.
package main

import (
	"context"
	"fmt"
	"os"

	_ "github.com/oapi-codegen/runtime" // what is generated needs it
)

func main() {
	if err := run(context.Background(), os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, url string) error {
	c, err := NewClientWithResponses(url)
	if err != nil {
		return err
	}
	status, err := c.StatusWithResponse(ctx)
	if err != nil {
		return err
	}
	b := status.JSON200.Backends[0]
	fmt.Println("status:", b.Name, b.Phase, b.Slots[0].Instances[0].State, b.Hold.WouldRemove, b.Endpoints[0].Addr)
	weight, err := c.SetWeightWithResponse(ctx, "web", "web1", WeightBody{Weight: "20%"})
	if err != nil {
		return err
	}
	fmt.Println("weight:", weight.JSON200.Endpoint, weight.JSON200.Slot)
	none, err := c.SetStateWithResponse(ctx, "api", "web1", StateBody{State: StateBodyStateDrain})
	if err != nil {
		return err
	}
	fmt.Println("state:", none.StatusCode(), none.ApplicationproblemJSON404.Detail)
	explained, err := c.ExplainWithResponse(ctx, "web", "web1")
	if err != nil {
		return err
	}
	fmt.Println("explain:", explained.JSON200.Verdict)
	return nil
}
