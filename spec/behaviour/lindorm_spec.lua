-- Bulk loads through the client, against the sandbox in each dialect of its
-- answers: what is KNOWN is used, the rest is tolerated (protocols L7, L8).

local process = require "spec.support.process"
local taskclient = require "taskclient"
local wait = require "spec.support.wait"

local lindorm = taskclient.lindorm
local ROWS = 3000

describe("a bulk load", function()
  local box, client, folder

  local function write(name, text)
    os.execute("mkdir -p " .. process.quote(folder .. "/" .. name))
    local file = assert(io.open(folder .. "/" .. name .. "/1.csv", "wb"))
    file:write(text)
    file:close()
  end

  setup(function()
    folder = process.tempdir()
    local rows = {}
    for i = 1, ROWS do rows[i] = ("%d,name %d\n"):format(i, i) end
    write("small", "1,one\n2,two\n")
    write("large", table.concat(rows))
    write("broken", "1,one\nthree,3\n")
    box = assert(require("taskclient.sandbox").start {
      users = { hadoop = "hadoop" },
      lindorm = { sources = { landing = folder }, create_tables = true },
    })
    client = assert(taskclient.lindorm { url = box.lindorm_url })
  end)

  teardown(function()
    box:stop()
    os.execute("rm -rf " .. process.quote(folder))
  end)

  local function spec(path, more)
    local reader = lindorm.csv { path = path .. "/",
      columns = { { "id", "bigint" }, { "name", "string" } } }
    local given = { src = "landing", dst = "ld", instances = 2, reader = reader,
      writer = lindorm.table { table = path, from = reader, row = "id" } }
    for name, value in pairs(more or {}) do given[name] = value end
    return given
  end

  local function ended(job)
    local state, native, err = assert(job:wait { timeout = 30, poll = 0.05 })
    return state, native, err
  end

  -- while fn runs the sandbox answers so
  local function with(settings, defaults, fn)
    box:set(settings)
    local ok, err = pcall(fn)
    box:set(defaults)
    if not ok then error(err, 0) end
  end

  it("tells all that info holds, its stages and how far it is", function()
    local job = assert(client:submit(spec "small"))
    assert.equals("succeeded", (ended(job)))
    local info = assert(job:info())
    assert.equals(job.id, info.procId)
    assert.equals("landing", info.procConfig.src)
    local kinds = {}
    for i, stage in ipairs(assert(job:stages())) do
      kinds[i] = stage.kind
      assert.equals("succeeded", stage.state)
      assert.equals("SUCCEEDED", stage.native)
      assert.equals("default.small", stage.table)
      assert.equals("string", type(stage.name))
      assert.equals("table", type(stage.raw))
    end
    assert.same({ "schema", "full", "merge" }, kinds)
    local progress = assert(job:progress())
    assert.equals(1, progress.fraction)
    assert.equals("WAIT_FOR_SUCCESS", progress.stage)
  end)

  it("moves through its stages while it is watched", function()
    local seen
    for _, delay in ipairs { 0.15, 0.6, 2.4 } do -- a slow machine looks seldom
      with({ stage_delay = delay }, { stage_delay = 0 }, function()
        local job = assert(client:submit(spec "small"))
        seen = {}
        job:wait { timeout = 30, poll = 0.03, on_progress = function(_, progress)
          if progress.state == "running" and progress.fraction then
            seen[#seen + 1] = progress.fraction
          end
        end }
      end)
      if #seen > 1 then break end
    end
    assert.is_true(seen[1] < seen[#seen])
  end)

  for _, success in ipairs { "text", "upper", "boolean" } do
    for _, name in ipairs { "mixed", "jobName", "TaskName", "taskName", "procId", "name" } do
      local empty = ({ text = "array", upper = "null", boolean = "absent" })[success]
      it(("is understood with success as %s, sub-jobs by %s, empty lists as %s"):format(success,
        name, empty), function()
        local defaults = { lindorm_success = "text", lindorm_names = "mixed",
          lindorm_empty = "array" }
        with({ lindorm_success = success, lindorm_names = name, lindorm_empty = empty }, defaults,
          function()
          local job = assert(client:submit(spec "small"))
          assert.equals("succeeded", (ended(job)))
          for _, stage in ipairs(assert(job:stages())) do assert.matches("%-1?%d$", stage.name) end
          assert.is_true(job:delete())
        end)
      end)
    end
  end

  it("is read without success too; a create without it is not known", function()
    local job = assert(client:submit(spec "small"))
    with({ lindorm_success = "absent" }, { lindorm_success = "text" }, function()
      assert.equals("succeeded", (ended(job)))
      local none, err = client:submit(spec "small")
      assert.is_nil(none)
      assert.equals("submit_unknown", err.kind)
      assert.matches('"message":"proc%-', err.body)
    end)
  end)

  it("does not end at a word that nobody knows, until the caller explains it", function()
    local defaults = { lindorm_words = {} }
    with({ lindorm_words = { SUCCEEDED = "DONE_AND_DUSTED", WAIT_FOR_SUCCESS = "SUCCEEDED" } },
      defaults, function()
      local job = assert(client:submit(spec "small"))
      local state, err = job:wait { timeout = 1, poll = 0.05 }
      assert.is_nil(state)
      assert.equals("timeout", err.kind)
      local native
      state, native = job:status()
      assert.equals("unknown", state) -- the stage SUCCEEDED is no state
      assert.equals("DONE_AND_DUSTED", native)
      local wiser = assert(taskclient.lindorm {
        url = box.lindorm_url, states = { done_and_dusted = "succeeded" },
      })
      assert.equals("succeeded", (wiser:attach(job:handle()):wait { timeout = 5, poll = 0.05 }))
    end)
  end)

  it("that fails says which row, and goes on after a repair", function()
    local job = assert(client:submit(spec "broken"))
    local state, _, err = ended(job)
    assert.equals("failed", state)
    assert.matches("1.csv, line 2: column id: 'three' is no Long", err.message)
    assert.equals("FULL", err.stage)
    write("broken", "1,one\n3,three\n")
    assert.is_true(job:retry())
    assert.equals("succeeded", (ended(job)))
    assert.same({ { 2, 4 } }, box:query 'select count(*), sum(ROW) from "default.broken"')
  end)

  it("is stopped half-way, says how many rows there are, and does not double them", function()
    local job
    with({ rows_per_second = 500 }, { rows_per_second = 0 }, function()
      job = assert(client:submit(spec "large"))
      wait.eventually(function() return assert(job:info()).rows > 200 end)
      local what = assert(job:abort())
      assert.is_true(what.killed and what.confirmed)
    end)
    local count = box:query('select count(*) from "default.large"')[1][1]
    local info = assert(job:info())
    assert.equals(count, info.rows)
    assert.is_true(count < ROWS)
    assert.matches(("after %d rows"):format(count), job:error().message)
    assert.is_true(job:retry())
    assert.equals("succeeded", (ended(job)))
    assert.same({ { ROWS, ROWS } },
      box:query 'select count(*), count(distinct ROW) from "default.large"')
  end)

  it("whose create is cut runs, is reported unknown, and is not sent again", function()
    local before = box:query "select count(*) from sqlite_master where name = 'default.small'"
    assert.same({ { 1 } }, before)
    box:query "delete from \"default.small\""
    with({ lindorm_cut = 20, lindorm_match = "create" },
      { lindorm_cut = false, lindorm_match = "." }, function()
      local job, err = client:submit(spec "small")
      assert.is_nil(job)
      assert.equals("submit_unknown", err.kind)
      assert.is_number(err.since)
      assert.matches("look before submitting again", tostring(err))
    end)
    wait.eventually(function()
      return box:query('select count(*) from "default.small"')[1][1] == 2
    end)
  end)

  for _, operation in ipairs { "abort", "retry", "delete" } do
    it("is settled by info when the reply to " .. operation .. " is cut", function()
      local job
      with({ rows_per_second = 500 }, { rows_per_second = 0 }, function()
        job = assert(client:submit(spec "large"))
        if operation == "retry" then assert(job:abort()) end
        with({ lindorm_cut = 3, lindorm_match = operation },
          { lindorm_cut = false, lindorm_match = "." }, function()
          assert(job[operation](job))
        end)
        if operation ~= "delete" then
          assert.equals(operation == "abort" and "cancelled" or "running", (job:status()))
        else
          local state, err = client:attach(job.id):status()
          assert.is_nil(state)
          assert.equals("service", err.kind)
        end
        client:attach(job.id):delete()
      end)
    end)
  end

  it("carries a Linkis result, saved as CSV, in the same script", function()
    local linkis = assert(taskclient.linkis { url = box.url, user = "hadoop", password = "hadoop" })
    local sql = "select 1 as id, 'a \"b\", c' as name union all select 2, null "
      .. "union all select 3, '' union all select 4, 'zwei\nZeilen \228\184\173' order by 1"
    local extract = assert(linkis:submit { code = sql, run_type = "sql", engine = "jdbc-4" })
    assert.equals("succeeded", (extract:wait { timeout = 60, poll = 0.1 }))
    os.execute("mkdir -p " .. folder .. "/carried")
    assert.equals(4, (assert(extract:results())[1]:save(folder .. "/carried/1.csv")))
    local given = spec "carried"
    given.reader.header = true
    assert.equals("succeeded", (ended(assert(client:submit(given)))))
    assert.same({ { 1, 'a "b", c' }, { 2, false }, { 3, "" }, { 4, "zwei\nZeilen \228\184\173" } },
      box:query 'select * from "default.carried" order by ROW')
  end)
end)
