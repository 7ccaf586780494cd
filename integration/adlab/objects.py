"""Fills a freshly provisioned domain; reads what to make as JSON from standard input.

In one process, on the local database: a samba-tool call for each object would
cost half a second each, and its service-account command leaves the gMSA disabled.
"""
import json
import sys

import ldb
from samba.auth import system_session
from samba.dcerpc import security
from samba.ndr import ndr_pack
from samba.param import LoadParm
from samba.samdb import SamDB

want = json.load(sys.stdin)
lp = LoadParm()
lp.load("/run/dc/etc/smb.conf")
sam = SamDB(url="/run/dc/private/sam.ldb", session_info=system_session(), lp=lp)
base = str(sam.domain_dn())
dns = lp.get("realm").lower()


def modify(dn, **attributes):
    message = ldb.Message(ldb.Dn(sam, dn))
    for name, value in attributes.items():
        message[name] = ldb.MessageElement(value, ldb.FLAG_MOD_REPLACE, name)
    sam.modify(message)


sam.setpassword("(sAMAccountName=Administrator)", want["AdminPassword"])

# The archive may be restored months later: no password may have expired by then.
modify(base, maxPwdAge="-9223372036854775808", minPwdAge="0")

# These are registered by Samba's dnsupdate service, which the lab does not run.
host = want["Host"]
dc = sam.search(base, expression="(sAMAccountName=%s$)" % host, attrs=["servicePrincipalName"])[0]
spns = {str(s) for s in dc["servicePrincipalName"]}
for name in (host, "%s.%s" % (host, dns), "%s.%s/%s" % (host, dns, dns)):
    spns.add("ldap/" + name)
modify(str(dc.dn), servicePrincipalName=sorted(spns))

group = want["Group"]
sam.newgroup(group)
sid = sam.schema_format_value(
    "objectSid",
    sam.search(base, expression="(sAMAccountName=%s)" % group, attrs=["objectSid"])[0]["objectSid"][0],
).decode()
readers = security.descriptor.from_sddl(
    "O:BAD:(A;;CCDCLCSWRPWPDTLOCRSDRCWDWO;;;%s)" % sid, security.dom_sid(sam.get_domain_sid())
)
for account in want["Accounts"]:
    sam.add({
        "dn": "CN=%s,CN=Managed Service Accounts,%s" % (account, base),
        "objectClass": "msDS-GroupManagedServiceAccount",
        "sAMAccountName": account + "$",
        "dNSHostName": "%s.%s" % (account, dns),
        "userAccountControl": "4096",  # WORKSTATION_TRUST_ACCOUNT, as Windows makes it
        "msDS-ManagedPasswordInterval": "30",
        "msDS-SupportedEncryptionTypes": "24",  # AES only
        "msDS-GroupMSAMembership": ndr_pack(readers),
        "servicePrincipalName": [
            "%s/%s%s" % (service, account, suffix)
            for service in ("host", "http")
            for suffix in ("", "." + dns)
        ],
    })
