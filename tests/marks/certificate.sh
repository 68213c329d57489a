#!/usr/bin/env bash
# Makes credentials for signing C2PA claims in a folder, of an authority that nobody trusts: key.pem, chain.pem (the signer's
# certificate and that of its issuer) and root.pem (whom that one has its certificate from). Needs OpenSSL 3.
#   certificate.sh FOLDER [es256|es384|es512|ps256|ps384|ps512|ed25519]
set -euo pipefail
folder=$1 algorithm=${2:-es256} days=2

key() { # ALGORITHM FILE
    case $1 in
        es256) openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$2" ;;
        es384) openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384 -out "$2" ;;
        es512) openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-521 -out "$2" ;;
        ps256 | ps384 | ps512) openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out "$2" ;;
        ed25519) openssl genpkey -algorithm ED25519 -out "$2" ;;
        *) echo "no such algorithm: $1" >&2; return 1 ;;
    esac
}

certificate() { # NAME KEY ISSUER ISSUER'S KEY: with the extensions on the standard input
    openssl req -new -key "$2" -subj "/O=Kandinsky's tests/CN=$1" -out "$temporary/request"
    openssl x509 -req -in "$temporary/request" -CA "$3" -CAkey "$4" -CAcreateserial -CAserial "$temporary/serial" \
        -days "$days" -extfile <(cat - <(printf '%s\n' "subjectKeyIdentifier = hash" "authorityKeyIdentifier = keyid"))
}

temporary=$(mktemp -d)
trap 'rm -rf "$temporary"' EXIT
umask 077
mkdir -p "$folder"
{
    key es256 "$temporary/root.key"
    openssl req -x509 -new -key "$temporary/root.key" -subj "/O=Kandinsky's tests/CN=A root" -days "$days" \
        -addext "keyUsage = critical, keyCertSign, cRLSign" -out "$folder/root.pem"

    key es256 "$temporary/issuer.key"
    certificate "An issuer" "$temporary/issuer.key" "$folder/root.pem" "$temporary/root.key" > "$temporary/issuer.pem" << END
basicConstraints = critical, CA:TRUE, pathlen:0
keyUsage = critical, keyCertSign, cRLSign
END

    key "$algorithm" "$folder/key.pem"
    # The second usage is c2pa-kp-claimSigning, which older validators do not know.
    certificate "A signer" "$folder/key.pem" "$temporary/issuer.pem" "$temporary/issuer.key" > "$temporary/signer.pem" << END
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = emailProtection, 1.3.6.1.4.1.62558.2.1
END
} 2> "$temporary/log" || { cat "$temporary/log" >&2; exit 1; }
cat "$temporary/signer.pem" "$temporary/issuer.pem" > "$folder/chain.pem"
