-- Exports that the server makes, which fail inside a 200 or are cut (protocols 3.12.3, traps 21
-- to 25).

local fault = require "spec.support.fault"
local process = require "spec.support.process"
local result_set = require "spec.support.result_set"

local slurp, page, rows_from, open_page = result_set.slurp, result_set.page, result_set.rows_from,
  result_set.open_page

describe("an export", function()
  local fs, dir, job

  setup(function()
    fs, dir = fault.start(), process.tempdir()
  end)
  teardown(function()
    fs:stop()
    os.execute("rm -rf " .. process.quote(dir))
  end)

  before_each(function() job = result_set.job(fs) end)

  local function script(rules, names) result_set.script(fs, rules, names) end

  local function first_set() return result_set.first(job) end

  local DISPOSITION = { "Content-Disposition: attachment;filename=downloadResultset.csv",
                        "Content-Type: text/plain;charset=utf-8" }

  local function export(body, headers, opts, path, count)
    script {
      open_page(1, page(rows_from(1, 2))),
      { match = "/fileInfo", reply = fault.linkis { rowNumber = count or 2 } },
      { match = "/resultsetToExcel", reply = fault.http(200, body, headers) },
    }
    return first_set():export(path, opts)
  end

  it("asks for all rows, by both names of the separator (traps 21, 23)", function()
    local path = dir .. "/e.csv"
    local body = "id;name\n1;NULL\n2;x\n"
    assert.are.equal(#body, assert(export(body, DISPOSITION, { separator = ";" }, path)))
    assert.are.equal(body, slurp(path))
    local query = fs:requests("resultsetToExcel")[1].target
    for _, part in ipairs { "csvSeparator=%3B", "csvSeperator=%3B", "limit=2147483647",
      "outputFileType=csv" } do
      assert.is_truthy(query:find(part, 1, true), part)
    end
  end)

  it("finds the error inside a 200 (trap 24)", function()
    local path = dir .. "/e2.csv"
    local bytes, err = export("error(错误):null", { "Content-Type: text/plain;charset=utf-8" },
      nil, path)
    assert.is_nil(bytes)
    assert.are.equal("service", err.kind)
    assert.is_nil(slurp(path))
  end)

  -- the words stand in front of what the server had of the file
  local TOO_LONG = "error(错误):The maximum length of cell contents (text) is 32,767 characters"
  local PLAIN = { "Content-Type: text/plain;charset=utf-8" }

  local function is_told(bytes, err, path)
    assert.is_nil(bytes)
    assert.are.equal("service", err.kind)
    assert.matches("is 32,767 characters$", err.message)
    assert.are.equal(TOO_LONG, err.body)
    assert.matches("rs:save", err.hint, 1, true)
    assert.matches("CSV", err.hint, 1, true)
    assert.is_nil(slurp(path))
  end

  for name, rest in pairs { ["a zip"] = "PK\3\4\20\0\8\8\8\0\255\254xl/workbook.xml",
    ["the rest of one"] = "\0\0\8\255PK\5\6", nothing = "" } do
    it("of a spreadsheet that fails gives the server's words, and what may do: " .. name, function()
      local path = dir .. "/long.xlsx"
      local bytes, err = export(TOO_LONG .. rest, PLAIN, nil, path)
      is_told(bytes, err, path)
      result_set.script(fs, { { match = "/resultsetsToExcel",
        reply = fault.http(200, TOO_LONG .. rest, PLAIN) } })
      local client = assert(require("taskclient").linkis { url = fs.url, user = "u", token = "t" })
      bytes, err = client:attach(12):export(path)
      is_told(bytes, err, path)
      client:close()
    end)
  end

  it("finds a file that was cut by counting", function()
    local path = dir .. "/e3.csv"
    local bytes, err = export("id,name\n1,x\n", DISPOSITION, nil, path, 40)
    assert.is_nil(bytes)
    assert.are.equal("protocol", err.kind)
    assert.is_nil(slurp(path))
  end)

  it("leaves an older file alone until a whole one is there", function()
    local path = dir .. "/e5.csv"
    local old = "id,name\n1,a\n2,b\n"
    assert(export(old, DISPOSITION, nil, path))
    local bytes, err = export("id,name\n1,x\n", DISPOSITION, nil, path)
    assert.is_nil(bytes)
    assert.are.equal("io", err.kind)
    bytes, err = export("id,name\n1,x\n", DISPOSITION, { overwrite = true }, path, 40)
    assert.is_nil(bytes)
    assert.is_truthy(err.message:find("1 of 40 rows", 1, true))
    assert.are.equal(old, slurp(path))
    assert(export("id,name\n1,x\n2,y\n", DISPOSITION, { overwrite = true }, path))
    assert.are.equal("id,name\n1,x\n2,y\n", slurp(path))
    bytes, err = export(old, DISPOSITION, nil, dir .. "/nosuch/e.csv")
    assert.is_nil(bytes)
    assert.are.equal("io", err.kind)
    assert.are.equal(path .. "\n", (select(2, process.run { "find", dir, "-name", "e5*" })))
  end)

  it("finds a spreadsheet without an end (trap 22)", function()
    local bytes, err = export("PK\3\4 and so on", DISPOSITION, nil, dir .. "/e.xlsx")
    assert.is_nil(bytes)
    assert.are.equal("protocol", err.kind)
    assert.matches("the spreadsheet has no end", err.message)
    assert.matches("rs:save.*CSV", err.hint)
    local query = fs:requests("resultsetToExcel")[1].target
    assert.is_truthy(query:find("outputFileType=xlsx", 1, true))
    bytes, err = export("id,name\n1,x\n", DISPOSITION, nil, dir .. "/e.xlsx")
    assert.is_nil(bytes)
    assert.equal("protocol", err.kind)
    assert.matches("the answer is no spreadsheet", err.message)
    assert(export("PK\3\4 … PK\5\6\0\0", DISPOSITION, { format = "xlsx" }, dir .. "/e2.xlsx"))
  end)

  it("goes by the path's ending in any case, and refuses one that promises another form",
    function()
    assert(export("PK\3\4 … PK\5\6\0\0", DISPOSITION, nil, dir .. "/E.XLSX"))
    assert.matches("outputFileType=xlsx", fs:requests("resultsetToExcel")[1].target)
    for _, name in ipairs { "/e.json", "/e.TSV" } do
      local bytes, err = export("id,name\n1,x\n2,y\n", DISPOSITION, nil, dir .. name)
      assert.is_nil(bytes)
      assert.equal("unsupported", err.kind)
      assert.matches("the server writes csv and xlsx", err.message)
    end
    assert(export("id,name\n1,x\n2,y\n", DISPOSITION, { format = "csv" }, dir .. "/e.json"))
  end)

  it("works for rows that are not shown", function()
    script {
      { match = "/openFile", reply = fault.linkis { type = "2", display_prohibited = true } },
      { match = "/fileInfo", reply = fault.linkis { rowNumber = 1 } },
      { match = "/resultsetToExcel", reply = fault.http(200, "id\n1\n", DISPOSITION) },
    }
    assert.are.equal(5, assert(first_set():export(dir .. "/hidden.csv")))
  end)

  it("refuses texts, whose lines the server would join (trap 25)", function()
    script { { match = "/openFile", reply = fault.linkis { type = "1", metadata = "NULL",
      fileContent = { { "x" } } } } }
    local bytes, err = first_set():export(dir .. "/e4.csv")
    assert.is_nil(bytes)
    assert.are.equal("unsupported", err.kind)
  end)
end)
