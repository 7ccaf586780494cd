package quiet

// Without is without.
var Without = without
