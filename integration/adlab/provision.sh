# Runs in mount and process namespaces of its own, as root:
#   sh provision.sh DNSNAME NETBIOS HOST IP < request.json > archive
# Makes a domain from nothing and writes it to standard output as a gzipped
# tar. Everything happens in a tmpfs that ends with the namespace.
set -eu
mount --make-rprivate /
mount -t proc proc /proc
objects=$(cat objects.py) # before /run, which may hold the working directory, is covered
mount -t tmpfs -o mode=755 gmsa-agent-lab /run
mkdir -p /run/dc /run/samba
: > /run/dc/empty.conf
export TDB_NO_FSYNC=1

# Level 2016 makes a KDS root key that is usable at once. interfaces: with /32
# Samba finds nothing to bind to.
samba-tool domain provision --quiet \
	--configfile=/run/dc/empty.conf --targetdir=/run/dc \
	--realm="$(echo "$1" | tr a-z A-Z)" --domain="$2" --host-name="$3" --host-ip="$4" \
	--server-role=dc --dns-backend=SAMBA_INTERNAL \
	--function-level=2016 --base-schema=2019 \
	--option="ad dc functional level = 2016" \
	--option="interfaces = $4/8" --option="bind interfaces only = yes" \
	--option="vfs objects = dfs_samba4 acl_xattr xattr_tdb" \
	</dev/null >&2

/usr/bin/python3 -c "$objects" >&2

rm -rf /run/dc/msg.sock /run/dc/msg.lock
tar -C /run/dc -c . | gzip -1
