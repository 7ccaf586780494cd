package secretstest

import "strings"

// Passwords are such as stores and their clients have been seen to spoil, or
// may, by what is special in them. Each is legal in Windows and must arrive as
// it is: nothing is trimmed, decoded, normalised, unescaped or cut.
func Passwords() map[string]string {
	return map[string]string{
		"plain":         "Passw0rd!",
		"one character": "x",

		// What the forms of a secret are delimited by, and the forms themselves.
		"what the forms delimit by":           `a:b\c"d"{e}:f\\g`,
		"a colon and a backslash":             `a:b\c`,
		"a colon at the beginning":            ":password",
		"a backslash at the beginning":        `\\server\share`,
		"a backslash at the end":              `password\`,
		"nothing but delimiters":              `:\"{},;=@`,
		"a domain, a user and a password":     `contoso\svc:Passw0rd!`,
		"a user principal name in front":      "svc@contoso.com:Passw0rd!",
		"JSON of a credential":                `{"username":"x","password":"y","domainName":"z"}`,
		"a Key Vault plugin's input":          "ObjectId=1;SecretUri=https://kv.vault.azure.net/secrets/x",
		"in quotation marks":                  `"password"`,
		"in single quotes":                    "'password'",
		"quotation marks of every kind":       "\"'`\u00b4\u201c\u201d\u201e\u00ab\u00bb",
		"what JSON escapes":                   "\"\\/\b\f\n\r\t<>&\u2028\u2029",
		"escapes that are none":               `\n\r\t\0\x41\u0041\\`,
		"half a surrogate pair, spelled":      `\ud800 \udc00`,
		"a NUL, spelled":                      `pass\u0000word%00&#0;\0`,
		"a word of JSON":                      "null",
		"a number":                            "0012345678901234567890e400",
		"YAML":                                "- !!binary |  #: &a *a ~ %TAG",
		"base64":                              "UGFzc3cwcmQh==",
		"the name of a PowerShell type":       "System.Security.SecureString",
		"a URL":                               "https://u:p@host:1/a?q=a%20b&c#d",
		"percent signs":                       "%41%00%2F%zz%u0041%+100%",
		"markup":                              `<a href="x">&amp;&#65;</a><!--]]>`,
		"SQL":                                 "'; DROP TABLE users; -- ",
		"shell characters":                    "${x}$(id)`id`$HOME~!!*?[a-z]|;&<>#",
		"markup and shell characters":         `<&>'"$(id)%41%%;--`,
		"what cmd.exe expands":                "%PATH%^&|<>!x!\"\"",
		"what PowerShell expands":             "$env:PATH`n`0@{}$(1)",
		"format verbs":                        "%s%d%n%v%!{0}{{.}}${1}",
		"like a flag":                         "--password=x /p:y -",
		"256 UTF-16 units":                    strings.Repeat("x", 256),
		"256 characters":                      strings.Repeat("aé€x", 64),
		"256 UTF-16 units, 768 bytes":         strings.Repeat("\u3042", 256),
		"255 UTF-16 units":                    strings.Repeat("y", 255),
		"128 surrogate pairs":                 strings.Repeat("\U0001f511", 128),
		"a surrogate pair at the very end":    strings.Repeat("z", 254) + "\U0001f511",
		"a long run that compresses":          strings.Repeat("ab", 120),
		"UTF-16 units with a zero byte":       "\u0100\u0200\uff00A\u4100",
		"UTF-16 units with a line end's byte": "\u0a0d\u0d0a\u0a00\u0d00\u000d\u0a41",
		"the ends of UTF-8's lengths":         "\u007f\u0080\u07ff\u0800\ud7ff\ue000\U00010000\U0010ffff",

		// Blanks and line ends.
		"leading and trailing blanks":   "  pass word\t ",
		"a blank at the beginning":      " password",
		"a blank at the end":            "password ",
		"a tab at the beginning":        "\tpassword",
		"tabs":                          "pass\t\tword\t",
		"one blank":                     " ",
		"nothing but blanks":            "     ",
		"a trailing line end":           "password\r\n",
		"a trailing line feed":          "password\n",
		"a trailing carriage return":    "password\r",
		"trailing line ends":            "password\r\n\n\r\n",
		"a line end at the beginning":   "\r\npassword",
		"nothing but line ends":         "\r\n\r\n",
		"lines":                         "one\ntwo\r\nthree\rfour",
		"other blanks":                  "\u3000pass\u00a0word\u2003x\u1680\u202f\u3000",
		"other line ends":               "\u0085a\u2028b\u2029c\v\f\u0085",
		"control characters":            "\x01\x02\x03\x04\x05\x06\x07\b\t\n\v\f\r\x0e\x0f\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f",
		"DEL and the upper controls":    "\x7f\u0080\u0084\u0085\u0086\u009b\u009f",
		"end of file as DOS has it":     "pass\x1aword\x04",
		"what terminals take for order": "\x1b[31mred\x1b]0;title\x07\x08",

		// Scripts, and what Unicode has more than one way to say.
		"non-Latin characters":          "pässwörd-пароль-パスワード-كلمة",
		"Latin-1":                       "äöüÄÖÜßñÿ¿¡§°",
		"UTF-8 that was read as Latin1": "Ã¤Ã¶Ã¼ÃŸâ‚¬",
		"Greek, Cyrillic and Armenian":  "κωδικόςΣς-Пароль-գաղտնաբառ",
		"letters that lose their case":  "İıſßẞﬁŉǅΣσς",
		"Chinese, Japanese and Korean":  "密码密碼パスワード비밀번호",
		"full-width forms":              "Ｐａｓｓｗ０ｒｄ！ﾊﾟｽ",
		"Hebrew and Arabic":             "סיסמה1كلمةالسر2",
		"orders of direction":           "a\u202eb\u202dc\u2066d\u2069e\u200f\u200e\u061c",
		"Indic and Thai":                "पासवर्ड-கடவுச்சொல்-รหัสผ่าน",
		"composed marks":                "Am\u00e9lie-\u00c5ngstr\u00f6m-\u1e69",
		"decomposed marks":              "Ame\u0301lie-A\u030angstro\u0308m-s\u0323\u0307",
		"marks out of order":            "s\u0307\u0323",
		"what normalises to another":    "\u212b\u2126\u212a\u0344\u2f00\ufb01\u00b5",
		"composed Hangul":               "\ud55c\uae00",
		"decomposed Hangul":             "\u1112\u1161\u11ab\u1100\u1173\u11af",
		"marks upon marks":              "Z\u0351\u036b\u0343\u036a\u0302\u036b\u033d\u034f\u0334\u0319\u0324\u031e\u0349\u035a\u032f\u031e\u0320\u034da\u036b\u0357\u0334\u0362\u0335\u031c\u0330\u0354l",
		"a mark without a letter":       "\u0301password\u0308",

		// What is no letter.
		"surrogate pairs":             "🔑𝔭𝔞𝔰𝔰🗝",
		"emoji that are joined":       "\U0001f469\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466\U0001f3f3\ufe0f\u200d\U0001f308",
		"emoji that are modified":     "\u2764\ufe0f\U0001f44d\U0001f3fd\U0001f1e9\U0001f1ea1\ufe0f\u20e3",
		"tags":                        "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
		"what takes no room":          "a\u200bb\u200cc\u200dd\u00ade\u2060f\u034fg\u180eh",
		"a byte order mark in front":  "\ufeffpassword",
		"a byte order mark inside":    "pass\ufeffword\ufeff",
		"the replacement character":   "pass\ufffdword\ufffd",
		"noncharacters":               "\ufffe\uffff\ufdd0\ufdef\U0001fffe\U0001ffff\U0010ffff",
		"private use":                 "\ue000\uf8ff\U000f0000\U0010fffd",
		"characters not yet assigned": "\u0378\u2fe0\U0003fffd\U000e0fff",
		"historic scripts":            "\U00010330\U00012000\U00013000\U0001d11e\U00020000",
	}
}

// Impossible are passwords that no credential can have, by what is wrong: what
// Windows would cut or has no room for. They are UTF-8. Whoever holds one must
// refuse it, and never make a password of a part of it.
func Impossible() map[string]string {
	return map[string]string{
		"nothing":                               "",
		"a NUL":                                 "\x00",
		"a NUL at the beginning":                "\x00password",
		"a NUL inside":                          "pass\x00word",
		"a NUL at the end":                      "password\x00",
		"257 UTF-16 units":                      strings.Repeat("x", 257),
		"257 UTF-16 units of blanks at the end": "password" + strings.Repeat(" ", 249),
		"129 surrogate pairs":                   strings.Repeat("\U0001f511", 129),
		"half a surrogate pair too long":        strings.Repeat("z", 255) + "\U0001f511",
		"more than any form has room for":       strings.Repeat("\u3042", 4096),
	}
}

// Account is whose password a credential is.
type Account struct{ Domain, User string }

// Accounts are names that are legal and seldom, by what is special in them. The
// domains are DNS names, but for two NetBIOS names, which have no dot.
func Accounts() map[string]Account {
	return map[string]Account{
		"letters beyond ASCII":         {"bücher.example", "jürgen-straße"},
		"decomposed marks":             {"bu\u0308cher.example", "ju\u0308rgen"},
		"Cyrillic":                     {"контосо.рф", "служба-гмса"},
		"Japanese":                     {"例え.テスト", "サービス"},
		"Hebrew and Arabic":            {"דוגמה.example", "خدمة"},
		"surrogate pairs":              {"xn--kgbechtv.example", "𝔰𝔳𝔠-🔑"},
		"a blank":                      {"contoso.com", "svc of gmsa"},
		"an apostrophe":                {"contoso.com", "o'brien.jr"},
		"shell characters":             {"contoso.com", "svc$(id)`%41%&{}!~^#"},
		"a user principal name":        {"contoso.com", "svc@emea.contoso.com"},
		"a long user":                  {"contoso.com", strings.Repeat("サ", 256)},
		"a NetBIOS name":               {"CONTOSO-EMEA", "svc"},
		"a NetBIOS name beyond ASCII":  {"ÄPFEL", "svc"},
		"the longest of all DNS names": {strings.Repeat(strings.Repeat("d", 63)+".", 3) + strings.Repeat("d", 61), "svc"},
	}
}
