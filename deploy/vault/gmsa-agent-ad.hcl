# What the agent needs of engines that rotate passwords of Active Directory: to
# read the password of a role. List the roles, or let one "*" stand for them.

# The LDAP engine, mounted at ldap/.
path "ldap/static-cred/contoso" {
  capabilities = ["read"]
}

# The AD engine, mounted at ad/. Which domain the account is of, the role says.
path "ad/creds/contoso" {
  capabilities = ["read"]
}
path "ad/roles/contoso" {
  capabilities = ["read"]
}
