"""People and services behind LDAP: OpenLDAP and its like, and Active Directory (callout spec §3.2).

`directory.LdapDirectory` is what the callout asks; `settings.LdapSettings` says all it can be told.
"""
