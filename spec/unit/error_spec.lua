-- Error objects: how they print, and where codes are found.

local failure = require "taskclient.error"

describe("an err", function()
  it("prints kind, operation, message, code, job and a hint", function()
    local err = failure.new("service", "wrong user", {
      operation = "submit", code = 50080, http_status = 400, job_id = 12, outcome = "rejected",
    })
    assert.equals("service: submit: wrong user (code 50080, HTTP 400, job 12, outcome rejected); "
      .. "the user of the label userCreator must be who submits; see option 'user'", tostring(err))
  end)

  it("names the operation once, and leaves out HTTP 200", function()
    local err = failure.new("protocol", "get: no task", { operation = "get", http_status = 200 })
    assert.equals("protocol: get: no task", tostring(err))
  end)

  it("has a hint for a code given as text too, none for an unknown one", function()
    assert.is_string(failure.new("service", "x", { code = "80010" }).hint)
    assert.is_nil(failure.new("service", "x", { code = 4711 }).hint)
    -- of a list, not of a job
    assert.is_nil(failure.new("service", "Invalid creator", { code = 21304 }).hint)
  end)

  it("is told from other tables", function()
    assert.is_true(failure.is(failure.new("io", "x")))
    assert.is_false(failure.is { kind = "io" })
    assert.is_false(failure.is "io")
  end)
end)

describe("a code in a text", function()
  local CASES = {
    { "21304, Task is Failed,errorMsg: PythonExecuteError: errCode: 60002 ,desc: x", 60002 },
    { "21304, Task is Failed,errorMsg: no such table: y", 21304 },
    { "error code(错误码): 50081, error message(错误信息): Shell code.", 50081 },
    { "errCode: 15206 ,desc: Caused by:LinkisException{errCode=15204, desc='x'}", 15204 },
    { "errCode: 15206 ,desc: Caused by:LinkisException{errCode\\u003d15204, desc", 15204 },
    { "errCode: 80010 ,desc: not yours ,ip: 127.0.0.1 ,port: 9105", 80010 },
    { "wrong user name or password", nil }, { "2026, nothing", nil }, { "", nil }, { 5, nil },
  }
  for _, case in ipairs(CASES) do
    it(("is %s in %q"):format(tostring(case[2]), tostring(case[1]):sub(1, 40)), function()
      assert.equals(case[2], failure.code_in(case[1]))
    end)
  end
end)

describe("a hint", function()
  -- the codes of the reference's sections 2.4, 4.3 and 4.4, where it is at hand
  local function codes_of(text)
    local codes = {}
    local four = text:match "\n### 4%.3(.-)\n## 5%."
    for line in four:gmatch "[^\n]+" do
      local first = line:match "^| ([%d,/ –]+) |" or line:find "^80003" and line
      for from, to in (first or ""):gmatch "(%d+)–(%d+)" do
        for code = tonumber(from), tonumber(to) do codes[code] = true end
      end
      for code in (first or ""):gmatch "%d%d%d%d%d+" do codes[tonumber(code)] = true end
    end
    for _, code in ipairs { 10900, 10901, 10905 } do codes[code] = nil end -- of the Java client
    return codes
  end

  it("is there for every code that users meet", function()
    local file = io.open((os.getenv "TASKCLIENT_REFERENCE" or "../shared/reference")
      .. "/linkis-wire.md")
    if not file then return pending "the reference is not at hand" end
    local n = 0
    for code in pairs(codes_of(file:read "*a")) do
      n = n + 1
      assert.is_string(failure.new("service", "x", { code = code, job_id = 1 }).hint,
        "no hint for " .. code)
    end
    file:close()
    assert.is_true(n > 60, n .. " codes")
  end)
end)
