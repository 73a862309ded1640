-- Result sets of real jobs, against any server. Tables need an engine that runs
-- SQL: the sandbox's, or the engine TASKCLIENT_LINKIS_SQL ("spark-3.2.1", "jdbc-4"), with the
-- runtime settings of TASKCLIENT_LINKIS_SQL_RUNTIME (JSON): for jdbc-4 the connection.

local cjson = require "cjson"
local taskclient = require "taskclient"
local process = require "spec.support.process"
local servers = require "spec.support.server"

local function slurp(path)
  local file = io.open(path, "rb")
  if not file then return nil end
  local text = file:read "*a"
  file:close()
  return text
end

-- RFC 4180, strictly: rows of cells; an unquoted empty cell is `false` (NULL).
local function read_csv(text)
  local rows, row, at = {}, {}, 1
  while at <= #text do
    local cell, stop
    if text:sub(at, at) == '"' then
      stop = at
      repeat stop = text:find('"', stop + 1, true) + 1 until text:sub(stop, stop) ~= '"'
      cell = text:sub(at + 1, stop - 2):gsub('""', '"')
    else
      stop = text:find("[,\r]", at)
      cell = stop > at and text:sub(at, stop - 1) or false
    end
    row[#row + 1] = cell
    if text:sub(stop, stop) == "," then
      at = stop + 1
    else
      assert(text:sub(stop, stop + 1) == "\r\n", "a line ends with CR LF")
      rows[#rows + 1], row, at = row, {}, stop + 2
    end
  end
  return rows
end

local HARD = { "", "NULL", "null", "a,b", 'say "hi"', "two\nlines", "cr\rhere", "tab\there",
  " padded ", "中文 é 😀", "'", ";", "\\N", '"' }

-- jdbc takes a semicolon for the end of the statement, in a literal too
local function literal(text)
  if text == ";" then return "char(59)" end
  return "'" .. text:gsub("'", "''") .. "'"
end

describe("results", function()
  local server, client, dir, engine, runtime

  setup(function()
    server, dir = servers.linkis(), process.tempdir()
    engine = os.getenv "TASKCLIENT_LINKIS_SQL" or server.sandbox and "spark-3.2.1"
    runtime = cjson.decode(os.getenv "TASKCLIENT_LINKIS_SQL_RUNTIME" or "{}")
    client = assert(taskclient.linkis {
      url = server.url, user = server.user, token = server.token,
      password = not server.token and server.password or nil,
    })
  end)
  teardown(function()
    client:close()
    os.execute("rm -rf " .. process.quote(dir))
  end)

  local function run(code, run_type, label, settings)
    local job = assert(client:submit { code = code, run_type = run_type, engine = label,
                                       creator = "resultspec", runtime = settings })
    job:wait { timeout = 120, poll = 0.1 }
    return job
  end

  local function sql(code)
    if not engine then pending "no SQL engine that needs no connection" end
    return engine and run(code, engine:match "^jdbc" or "sql", engine, runtime)
  end

  local function shell(code) return run(code, "shell", "shell-1") end

  it("of a shell job are its text", function()
    local sets = assert(shell "printf 'one\\n\\n  two, \"x\"\\nNULL\\nlast'":results())
    assert.are.equal(1, #sets)
    assert.are.equal("text", sets[1]:type())
    assert.are.equal('one\n\n  two, "x"\nNULL\nlast', sets[1]:text())
    assert.are.equal(5, sets[1]:count())
    assert(sets[1]:save(dir .. "/out.txt"))
    assert.are.equal('one\n\n  two, "x"\nNULL\nlast\n', slurp(dir .. "/out.txt"))
    local bytes, err = sets[1]:export(dir .. "/out.csv")
    assert.is_nil(bytes)
    assert.are.equal("unsupported", err.kind)
  end)

  it("of a job without output are an empty list (trap 28)", function()
    assert.are.same({}, shell "true":results())
  end)

  it("come in the order of the statements (trap 27)", function()
    local code = {}
    for i = 0, 11 do code[#code + 1] = ("select %d as n%d"):format(i, i) end
    local job = sql(table.concat(code, ";\n"))
    if not job then return end
    local sets = assert(job:results())
    assert.are.equal(12, #sets)
    for i, rs in ipairs(sets) do
      assert.are.equal(tostring(i - 1), rs:rows():read()[1])
      assert.are.equal("n" .. i - 1, rs:columns()[1].name)
    end
  end)

  it("keep NULL, empty and the text NULL apart, through CSV too (traps 26, 29)", function()
    local selects = { "select 0 as id, null as v" }
    for i, text in ipairs(HARD) do
      selects[#selects + 1] = ("select %d, %s"):format(i, literal(text))
    end
    local job = sql(table.concat(selects, " union all "))
    if not job then return end
    local rs = assert(job:results())[1]
    local rows = {}
    for row in rs:rows { page_size = 4 } do rows[tonumber(row[1])] = row[2] end
    if rs:null_exact() then
      assert.are.equal(taskclient.null, rows[0])
    else
      assert.are.equal("NULL", rows[0])
    end
    for i, text in ipairs(HARD) do assert.are.equal(text, rows[i]) end
    assert(rs:save(dir .. "/hard.csv", { page_size = 3 }))
    local csv = read_csv(slurp(dir .. "/hard.csv"))
    assert.are.same({ "id", "v" }, csv[1])
    assert.are.equal(#HARD + 2, #csv)
    for i = 2, #csv do
      local id, value = tonumber(csv[i][1]), csv[i][2]
      if id == 0 then
        assert.are.equal(not rs:null_exact() and "NULL", value)
      else
        assert.are.equal(HARD[id], value)
      end
    end
  end)

  it("are complete, page by page (traps 19, 23, 63)", function()
    local job = sql("with recursive n(i) as (select 1 union all select i + 1 from n "
      .. "where i < 12000) select i, 'row ' || i as name from n")
    if not job then return end
    local rs = assert(job:results())[1]
    local n, sum, all = 0, 0, engine:find "^jdbc" and 5000 or 12000
    for row in rs:rows { page_size = 1000, typed = true } do
      n, sum = n + 1, sum + row[1]
    end
    assert.are.equal(all, n)
    assert.are.equal(all * (all + 1) / 2, sum)
    assert.are.equal(all, rs:count())
    assert.are.equal(all == 5000, rs:capped())
    local rows = assert(rs:save(dir .. "/many.jsonl", { page_size = 5000, typed = true }))
    assert.are.equal(all, rows)
    local text = slurp(dir .. "/many.jsonl")
    assert.is_truthy(text:find(('{"i":%d,"name":"row %d"}\n'):format(all, all), 1, true))
    local bytes, err = rs:export(dir .. "/many.csv")
    if bytes then
      local _, lines = slurp(dir .. "/many.csv"):gsub("\n", "")
      assert.are.equal(all + 1, lines)
    else -- a server of before 1.1.1 knows no limit, and says nothing
      assert.are.equal("protocol", err.kind)
      assert.is_truthy(err.message:find("5000 of 12000", 1, true))
    end
  end)

  it("are typed when asked", function()
    local job = sql "select 9223372036854775807 as big, 0.5e0 as half, 'x' as text"
    if not job then return end
    local row = assert(job:results())[1]:records { typed = true }:read()
    if math.type then assert.are.equal(9223372036854775807, row.big) end -- luacheck: ignore 143
    assert.are.equal(0.5, row.half)
    assert.are.equal("x", row.text)
  end)

  it("are exported as one spreadsheet", function()
    local job = sql "select 1 as a; select 2 as b"
    if not job then return end
    local bytes, err = job:export(dir .. "/all.xlsx")
    if not bytes and err.http_status == 404 then return end -- the published page lacks it
    assert.are.equal(nil, err)
    local text = slurp(dir .. "/all.xlsx")
    assert.are.equal(#text, bytes)
    assert.are.equal("PK", text:sub(1, 2))
    assert(job:results()[1]:export(dir .. "/one.xlsx"))
  end)

  it("of a failed job are those of its first statements (trap 58)", function()
    local job = sql "select 1 as a; select * from no_such_table_here"
    if not job then return end
    assert.are.equal("failed", (job:status()))
    assert.are.equal("1", assert(job:results())[1]:rows():read()[1])
  end)

  it("print for people", function()
    local job = sql "select 'a' as name, 12 as n"
    if not job then return end
    local rs = assert(job:results())[1]
    rs:columns()
    assert.are.equal("result set _0 (table, 2 columns)", tostring(rs))
  end)
end)
