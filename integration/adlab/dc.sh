# Runs as process 1 of mount and process namespaces of its own, as root:
#   sh dc.sh DIR < archive
# Unpacks a domain into a tmpfs and becomes its domain controller. DIR has what
# is new at every start: smb.conf and tls/. FAKETIME_LIB and FAKETIME shift the
# clock of the domain controller alone.
set -eu
mount --make-rprivate /
mount -t proc proc /proc
cd "$1" # before /run, which may hold it, is covered
mount -t tmpfs -o mode=755 gmsa-agent-lab /run
mkdir -p /run/dc /run/samba /run/dc/run
tar -xzf - -C /run/dc
cp smb.conf /run/dc/etc/smb.conf
cp -r tls /run/dc/tls
chmod 600 /run/dc/tls/key.pem
cd /
export TDB_NO_FSYNC=1 KRB5_CONFIG=/run/dc/private/krb5.conf
if [ -n "${FAKETIME_LIB:-}" ]; then
	export LD_PRELOAD="$FAKETIME_LIB" FAKETIME_DONT_FAKE_MONOTONIC=1
fi
exec samba -s /run/dc/etc/smb.conf --foreground --no-process-group --debug-stdout -d1 </dev/null
