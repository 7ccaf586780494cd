// Package layout holds no code: its tests guard the shape of the source tree,
// namely which package may import which, and what every package must have.
//
// Each rule says why it is there. A change that breaks one either is a mistake,
// or changes the design, and then the rule in the same commit.
package layout
