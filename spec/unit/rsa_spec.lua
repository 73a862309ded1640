-- The password's encryption, against openssl's decryption.

local rsa = require "taskclient.linkis.rsa"

local function output(command)
  local pipe = assert(io.popen(command))
  local text = pipe:read "*a"
  pipe:close()
  return text
end

local function new_key(bits)
  local path = os.tmpname()
  os.execute(("openssl genrsa -out %s %d 2>/dev/null"):format(path, bits))
  return path, output(("openssl rsa -in %s -pubout -outform DER 2>/dev/null | base64 -w0")
    :format(path))
end

local function decrypt(key_path, base64)
  local path = os.tmpname()
  local file = assert(io.open(path, "w"))
  file:write(base64)
  file:close()
  local text = output(("base64 -d %s | openssl pkeyutl -decrypt -inkey %s"):format(path, key_path))
  os.remove(path)
  return text
end

describe("RSA", function()
  for _, bits in ipairs { 1024, 2048, 1031 } do
    it(("is undone by openssl with a key of %d bits"):format(bits), function()
      local path, public = new_key(bits)
      for _, text in ipairs { "hadoop", "", "pässwörd 漢", ("x"):rep(60) } do
        assert.equals(text, decrypt(path, assert(rsa.encrypt(public, text))))
      end
      assert.not_equals(rsa.encrypt(public, "a"), rsa.encrypt(public, "a"))
      os.remove(path)
    end)
  end

  it("refuses what is no key, and a text that is too long", function()
    local path, public = new_key(1024)
    os.remove(path)
    assert.matches("too long", select(2, rsa.encrypt(public, ("x"):rep(118))))
    for _, key in ipairs { "", "!!", "AAAA", "MIIB", public:sub(1, 60) } do
      assert.is_nil((rsa.encrypt(key, "x")))
    end
    assert.is_nil((rsa.encrypt(nil, "x")))
  end)
end)
