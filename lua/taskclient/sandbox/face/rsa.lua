-- The gateway's key pair for encrypted logins, by OpenSSL 3 over FFI. Made once per process,
-- as a real gateway does. Knows base64 and bytes only.

local ffi = require "ffi"

ffi.cdef [[
typedef struct evp_pkey_st EVP_PKEY;
typedef struct evp_pkey_ctx_st EVP_PKEY_CTX;
EVP_PKEY *EVP_PKEY_Q_keygen(void *libctx, const char *propq, const char *type, ...);
int i2d_PUBKEY(EVP_PKEY *key, unsigned char **out);
EVP_PKEY_CTX *EVP_PKEY_CTX_new(EVP_PKEY *key, void *engine);
void EVP_PKEY_CTX_free(EVP_PKEY_CTX *);
int EVP_PKEY_decrypt_init(EVP_PKEY_CTX *);
int EVP_PKEY_CTX_set_rsa_padding(EVP_PKEY_CTX *, int);
int EVP_PKEY_CTX_ctrl_str(EVP_PKEY_CTX *, const char *, const char *);
int EVP_PKEY_decrypt(EVP_PKEY_CTX *, unsigned char *out, size_t *n, const unsigned char *in, size_t
  inn);
void ERR_clear_error(void);
]]

local M = {}
local lib, key

local function load_library()
  for _, name in ipairs { "libcrypto.so.3", "crypto" } do
    local ok, found = pcall(ffi.load, name)
    if ok then return found end
  end
  error("encrypted logins need OpenSSL 3 (Debian: libssl3)")
end

local function pair()
  if not key then
    lib = load_library()
    key = lib.EVP_PKEY_Q_keygen(nil, nil, "RSA", ffi.cast("size_t", 2048))
  end
  return key
end

---@return string key base64 of the X.509 public key
function M.public_key()
  local n = lib and lib.i2d_PUBKEY(pair(), nil) or (pair() and lib.i2d_PUBKEY(key, nil))
  local buffer = ffi.new("unsigned char[?]", n)
  local out = ffi.new("unsigned char *[1]", buffer)
  lib.i2d_PUBKEY(key, out)
  return ngx.encode_base64(ffi.string(buffer, n))
end

---@param text string base64 of the PKCS#1 v1.5 cipher text
---@return string? plain nil when it cannot be decrypted
function M.decrypt(text)
  local cipher = ngx.decode_base64(text)
  if not cipher or #cipher ~= 256 then return nil end
  local context = lib and lib.EVP_PKEY_CTX_new(key, nil) or lib
  if context == nil then return nil end
  lib.EVP_PKEY_decrypt_init(context)
  lib.EVP_PKEY_CTX_set_rsa_padding(context, 1)
  lib.EVP_PKEY_CTX_ctrl_str(context, "rsa_pkcs1_implicit_rejection", "0") -- where it exists
  local out, n = ffi.new("unsigned char[256]"), ffi.new("size_t[1]", 256)
  local ok = lib.EVP_PKEY_decrypt(context, out, n, cipher, #cipher) == 1
  lib.EVP_PKEY_CTX_free(context)
  lib.ERR_clear_error()
  return ok and ffi.string(out, n[0]) or nil
end

return M
