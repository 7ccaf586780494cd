// Package events tests what Windows' Event Log is given by the programs as they
// are: the calls that gmsa-agent.exe and the plugin's DLL make, and the words
// that FormatMessage finds in gmsa-agent.exe.
//
// The suite runs under Wine, whose Event Log keeps nothing. Wine says, when
// asked to, which calls were made and with what; that is what is compared with
// the table.
package events
