// The judge of HTTP/2 that nobody here wrote, and what it is built of: versions that Debian's Go 1.19 builds too.
module signet.test/h2spec

go 1.19

require (
	github.com/summerwind/h2spec v2.2.1+incompatible
	github.com/fatih/color v1.15.0
	github.com/spf13/cobra v1.7.0
	golang.org/x/net v0.17.0
)
