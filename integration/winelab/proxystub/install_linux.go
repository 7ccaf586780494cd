package proxystub

import (
	"context"
	"fmt"

	"github.com/gmsa-agent/gmsa-agent/integration/winelab"
)

// Install builds the DLL into the lab's system folder and registers it.
func Install(ctx context.Context, l *winelab.Lab) error {
	dll := l.Path(`C:\windows\system32\ccgps.dll`)
	if err := Build(ctx, dll); err != nil {
		return fmt.Errorf("the interface's proxy/stub: %w", err)
	}
	return l.RegisterDLL(ctx, dll)
}
