package credspec

import "strings"

// maxNear bounds what is compared, as the time for it grows with the square;
// the names that documents are made of are shorter.
const maxNear = 64

// nearest is the candidate that s was probably meant to be: one that differs by
// a slip or two of the pen. Case does not count.
func nearest(s string, candidates ...string) (string, bool) {
	best, found := "", 3
	if len(s) > maxNear {
		return "", false
	}
	for _, c := range candidates {
		if most := min(found-1, len(c)/3); most > 0 {
			if d := distance(strings.ToLower(s), strings.ToLower(c), most); d <= most {
				best, found = c, d
			}
		}
	}
	return best, best != ""
}

// distance is the least number of bytes to insert, remove, replace or swap with
// their neighbour that makes a into b; any number over most is the same.
func distance(a, b string, most int) int {
	if len(a)-len(b) > most || len(b)-len(a) > most {
		return most + 1
	}
	rows := [3][]int{make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)}
	for j := range rows[1] {
		rows[1][j] = j
	}
	for i := range len(a) {
		before, last, row := rows[0], rows[1], rows[2]
		row[0] = i + 1
		for j := range len(b) {
			if a[i] == b[j] {
				row[j+1] = last[j]
				continue
			}
			row[j+1] = 1 + min(last[j], last[j+1], row[j])
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], 1+before[j-1])
			}
		}
		rows = [3][]int{last, row, before}
	}
	return rows[1][len(b)]
}
