#!/bin/bash
# A directory with two people and a group, whose certificate a CA signed that the host trusts. Again changes nothing that matters.
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive
echo 'slapd slapd/domain string nodomain' | debconf-set-selections
apt-get install --yes --no-install-recommends slapd ldap-utils >/dev/null
install -d /etc/ldap/tls
cd /etc/ldap/tls
openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.crt -days 30 -subj '/CN=Directory of the tests' \
  -addext keyUsage=critical,keyCertSign,cRLSign 2>/dev/null
openssl req -newkey rsa:2048 -nodes -keyout ldap.key -out ldap.csr -subj '/CN=localhost' 2>/dev/null
printf 'subjectAltName=DNS:localhost\nauthorityKeyIdentifier=keyid\nsubjectKeyIdentifier=hash\n' >extensions
openssl x509 -req -in ldap.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 -extfile extensions -out ldap.crt 2>/dev/null
chown openldap ldap.key
chmod 600 ldap.key
cp ca.crt /usr/local/share/ca-certificates/directory-of-the-tests.crt
update-ca-certificates --fresh >/dev/null 2>&1
ldapmodify() { command ldapmodify -Q -Y EXTERNAL -H ldapi:/// >/dev/null; }
ldapmodify <<'LDIF'
dn: cn=config
changetype: modify
replace: olcTLSCertificateFile
olcTLSCertificateFile: /etc/ldap/tls/ldap.crt
-
replace: olcTLSCertificateKeyFile
olcTLSCertificateKeyFile: /etc/ldap/tls/ldap.key

dn: olcDatabase={1}mdb,cn=config
changetype: modify
replace: olcRootPW
olcRootPW: of the directory
LDIF
systemctl restart slapd
# -c: what is there already stays.
ldapadd -c -x -H ldapi:/// -D cn=admin,dc=nodomain -w 'of the directory' >/dev/null 2>&1 <<'LDIF' || true
dn: ou=people,dc=nodomain
objectClass: organizationalUnit
ou: people

dn: uid=alice,ou=people,dc=nodomain
objectClass: inetOrgPerson
uid: alice
cn: Alice
sn: A
userPassword: alice-of-the-directory

dn: uid=lars,ou=people,dc=nodomain
objectClass: inetOrgPerson
uid: lars
cn: Lars
sn: L
userPassword: lars-of-the-directory

dn: cn=course,dc=nodomain
objectClass: groupOfNames
cn: course
member: uid=alice,ou=people,dc=nodomain
LDIF
