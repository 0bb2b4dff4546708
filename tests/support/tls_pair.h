// A fresh key and a certificate of "localhost" signed with it, in PEM form.
#pragma once

#include <string>

namespace baton {

struct TlsPair {
  std::string cert;
  std::string key;
};
TlsPair MakeTlsPair();

// One that OpenSSL reads and this machine's rules may find too weak: RSA, 512 bits.
TlsPair MakeWeakTlsPair();

}  // namespace baton
