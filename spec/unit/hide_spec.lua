-- Secrets in texts: what is hidden, and what is left alone.

local hide = require "taskclient.text.redact"

local TEXTS = {
  ["password=abc"] = "password=***",
  ["PASSWORD : 'a b c' x"] = "PASSWORD : '***' x",
  ["password <> '' or passwd=\"x\""] = "password <> '' or passwd=\"***\"",
  [ [[{"password":"x\"y","k":1}]] ] = [[{"password":"***","k":1}]],
  [ [[{\"token\": \"x\", \"k\": 1}]] ] = [[{\"token\": \"***\", \"k\": 1}]],
  ["identified with sha256_password by 'z' account"]
    = "identified with sha256_password by '***' account",
  ["load --token abc -v"] = "load --token *** -v",
  ["token => 'abc'"] = "token => '***'",
  ["fs.s3a.secret.key=a/b+c,x"] = "fs.s3a.secret.key=***,x",
  ["get jdbc:x://u:p@h/d?user=x&password=y&z=1"] = "get jdbc:x://***@h/d?user=x&password=***&z=1",
  ["Cookie: a=b; c=d\nnext"] = "Cookie: ***\nnext",
  ["Authorization: Bearer abc, no"] = "Authorization: Bearer ***, no",
  ["the token ends; unexpected token"] = "the token ends; unexpected token",
  ["token.lua:7: not good"] = "token.lua:7: not good",
  ["Unexpected token: '}' at 3:4"] = "Unexpected token: '}' at 3:4",
  ["unexpected token \"select\", expecting token ';'"]
    = "unexpected token \"select\", expecting token ';'",
  ["unexpected token 'a1B2c3d4'"] = "unexpected token '***'",
  ["denied (using password: YES)"] = "denied (using password: YES)",
  ["password = ? and token: null"] = "password = ? and token: null",
  ["token = 'yes1'"] = "token = '***'", ["password: 4"] = "password: ***",
  ["passwd"] = "passwd",
  ["PASSWORD Hunter22 (no =)"] = "PASSWORD *** (no =)",
  ["the password is Hunter22, so"] = "the password is ***, so",
  ["the password is wrong"] = "the password is wrong",
  ['"passwd","x",1'] = '"passwd","***",1',
  ["mysql -pabc db"] = "mysql -p*** db",
  ["tool -pHunter22"] = "tool -p***",
  ["docker -p8080:80 -path /x"] = "docker -p8080:80 -path /x",
  ["curl -u ada:pw http://x"] = "curl -u ada:*** http://x",
  ["https://a/x?sv=1&sig=abc%3D&y=1"] = "https://a/x?sv=1&sig=***&y=1",
  ["a -----BEGIN PRIVATE KEY-----\nMIIE\nabc=\n-----END PRIVATE KEY----- b"]
    = "a -----BEGIN PRIVATE KEY-----***-----END PRIVATE KEY----- b",
  ["-----BEGIN RSA PRIVATE KEY-----\nMIIE"] = "-----BEGIN RSA PRIVATE KEY-----***",
  ["-----BEGIN CERTIFICATE-----\nMIIE"] = "-----BEGIN CERTIFICATE-----\nMIIE",
}

describe("hiding", function()
  for text, hidden in pairs(TEXTS) do
    it("knows " .. text:gsub("\n", " "), function()
      assert.are.equal(hidden, hide.text(text))
      assert.are.equal(hidden, hide.text(hidden))
    end)
  end


  it("costs little where a name or a text is one of many alike", function()
    local find, looks = string.find, 0
    string.find = function(...) -- luacheck: ignore 122
      looks = looks + 1
      return find(...)
    end
    for _ = 1, 10 do hide.named "startup.spark.executor.cores" end
    for _ = 1, 10 do hide.text "spark-3.2.1" end
    string.find = find -- luacheck: ignore 122
    assert.is_true(looks < 40, looks .. " looks")
  end)

  it("reads a text once, however many names of secrets it has", function()
    local started = os.clock()
    for _, text in ipairs { ("token"):rep(100000) .. " ", ("password "):rep(50000),
      ("token="):rep(50000), "token" .. (" "):rep(500000), ("://a"):rep(100000),
      ("-----BEGIN "):rep(50000), ("?a"):rep(100000) .. "=", (" -p"):rep(100000) } do
      assert.is_string(hide.text(text))
    end
    assert.is_true(os.clock() - started < 30) -- of the CPU; it was hours
  end)

  it("knows what is named like a secret", function()
    for _, name in ipairs { "jdbc.password", "jdbc.pass", "apiKey", "s3.access-key", "sk", "db.pw",
      "AUTH", "private_key", "X-Token", "pin", "jdbcPin", "dbPw" } do
      assert.is_true(hide.named(name), name)
    end
    for _, name in ipairs { "author", "task", "passengers", "key", "day", "pinned", "spin" } do
      assert.is_false(hide.named(name), name)
    end
  end)
end)
