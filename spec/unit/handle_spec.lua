-- A handle names a task of one server: another server's is refused before anything is asked.

local taskclient = require "taskclient"

describe("a handle", function()
  local CLIENTS = {
    linkis = function(url) return assert(taskclient.linkis { url = url }) end,
    lindorm = function(url) return assert(taskclient.lindorm { url = url }) end,
  }
  local IDS = { linkis = 12, lindorm = "proc-12" }

  for service, make in pairs(CLIENTS) do
    local function handle(url) return { service = service, url = url, id = IDS[service] } end

    it("of the same server, however its URL is written, is taken: " .. service, function()
      for mine, theirs in pairs {
        ["http://host:9001"] = "HTTP://HOST:9001/", ["http://host"] = "http://host:80",
        ["https://host/a/"] = "https://host:443/a", ["http://h:1"] = "http://user@h:1",
      } do
        assert.equal(IDS[service], make(mine):attach(handle(theirs)).id)
      end
    end)

    it("of another one is refused with both names: " .. service, function()
      for _, url in ipairs { "http://other:9001", "http://host:9002", "https://host:9001",
        "http://host:9001/deeper", "nonsense" } do
        local ok, why = pcall(function() return make "http://host:9001":attach(handle(url)) end)
        assert.is_false(ok, url)
        assert.matches("http://host:9001", why, 1, true)
        assert.matches("leave `url` out", why, 1, true)
      end
    end)

    it("without a URL is taken, and its own goes round: " .. service, function()
      local client = make "http://host:9001"
      local job = client:attach { id = IDS[service] }
      assert.equal(job.id, client:attach(job:handle()).id)
    end)

    it("of the other service is refused: " .. service, function()
      local other = service == "linkis" and "lindorm" or "linkis"
      assert.has_error(function()
        make "http://host:9001":attach { service = other, id = IDS[service] }
      end)
    end)
  end

  it("shows no secret of its URL", function()
    local _, why = pcall(function()
      CLIENTS.linkis "http://host:9001":attach { id = 1, url = "http://me:canary7@other:9001" }
    end)
    assert.is_nil(tostring(why):find "canary7")
  end)
end)
