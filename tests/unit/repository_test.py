#!/usr/bin/env python3
"""The repository lints itself. First each rule is tried on a small wrong tree, then all rules on this one."""

import os
import pathlib
import unittest

import repository_rules as rules

ROOT = pathlib.Path(__file__).resolve().parents[2]


class ThisTree(unittest.TestCase):
    def setUp(self):
        self.tree = rules.read_tree(ROOT)

    def assert_none(self, faults):
        if faults:
            self.fail("\n" + "\n".join(faults))

    def test_was_read(self):
        for path in ("CMakeLists.txt", "base/check.h", "tests/unit/repository_test.py", "scripts/test.sh"):
            self.assertIn(path, self.tree)

    def test_keeps_its_rules(self):
        for rule in rules.RULES:
            with self.subTest(rule=rule.__name__):
                self.assert_none(rule(self.tree))

    def test_scripts_can_be_run(self):
        self.assert_none(rules.scripts(self.tree, lambda path: os.access(ROOT / path, os.X_OK)))

    def test_declares_options_where_they_are_looked_for(self):
        undocumented = rules.documented_options({**self.tree, "docs/operations.md": ""})
        self.assertEqual(len(undocumented), self.tree["server/config/config.cc"].count("&Config::"))


class Rule(unittest.TestCase):
    def assert_faults(self, rule, path, *texts):
        for text in texts:
            self.assertTrue(rule({path: text}), f"{rule.__name__} finds nothing wrong with {path}: {text!r}")

    def assert_fine(self, rule, path, *texts):
        for text in texts:
            self.assertEqual(rule({path: text}), [], f"{path}: {text!r}")

    def test_includes_go_one_way(self):
        check = rules.include_direction
        self.assert_faults(check, "base/a.h", '#include "storage/store.h"', '  #  include "baton/v1/session.pb.h"')
        self.assert_faults(check, "storage/a.cc", '#include "server/engine/engine.h"')
        self.assert_faults(check, "server/engine/a.cc", '#include "server/config/config.h"', '#include "storage/rocks/rocks_store.h"')
        self.assert_faults(check, "server/session/a.cc", '#include "server/local/local_session.h"', '#include "server/grpc/grpc_call.h"')
        self.assert_faults(check, "server/loop/a.h", '#include "server/session/session_frames.h"')
        self.assert_faults(check, "server/grpc/a.cc", '#include "server/http/metrics.h"', '#include "server/broker.h"')
        self.assert_faults(check, "storage/memory/a.cc", '#include "storage/rocks/rocks_store.h"')
        self.assert_faults(check, "client/transport/a.cc", '#include "client/session/session.h"')
        self.assert_faults(check, "client/a.cc", '#include "storage/store.h"', '#include "server/config/config.h"')
        self.assert_faults(check, "client/include/baton/a.h", '#include "base/ids.h"', '#include "baton/v1/broker.pb.h"')
        self.assert_faults(check, "examples/a.cc", '#include "client/session/session.h"', '#include "base/ids.h"')
        self.assert_fine(check, "server/a.cc", '#include "server/engine/engine.h"\n#include <vector>', '#include "absl/x.h"')
        self.assert_fine(check, "client/include/baton/a.h", '#include "baton/message.h"', '#include "absl/status/status.h"')
        self.assert_fine(check, "tests/unit/a_test.cc", '#include "server/engine/engine.h"')

    def test_third_party_headers_stay_behind_their_doors(self):
        check = rules.third_party_doors
        self.assert_faults(check, "storage/store.h", "#include <rocksdb/db.h>", '#include "rocksdb/db.h"')
        self.assert_faults(check, "server/session.cc", "#include <grpcpp/grpcpp.h>", '#include "baton/v1/broker.grpc.pb.h"')
        self.assert_faults(check, "server/main.cc", "#include <boost/interprocess/mapped_region.hpp>")
        self.assert_faults(check, "server/config/config.cc", "#include <openssl/ssl.h>")
        self.assert_fine(check, "storage/rocks/rocks_store.cc", "#include <rocksdb/db.h>")
        self.assert_fine(check, "client/transport/grpc_admin.cc", "#include <grpcpp/grpcpp.h>")
        self.assert_fine(check, "storage/memory/segment.cc", "#include <boost/interprocess/mapped_region.hpp>")

    def test_pure_code_has_no_threads_and_no_clock(self):
        check = rules.pure_code
        self.assert_faults(check, "server/engine/a.cc", "#include <mutex>", "auto now = std::chrono::steady_clock::now();")
        self.assert_faults(check, "storage/format/a.cc", "#include <sys/stat.h>", "x = absl::Now();")
        self.assert_fine(check, "server/engine/a.cc", "// no Clock::now() here", "#include <chrono>")
        self.assert_fine(check, "server/a.cc", "#include <mutex>")

    def test_banned_calls_are_found_in_code_only(self):
        check = rules.banned_calls
        self.assert_faults(check, "server/a.cc", 'system("ls");', "int x = rand();", "thread.detach();", "std::srand (1);",
                           "using namespace std;", "throw Bad();", "sprintf(b, s);", "assert(x);")
        self.assert_faults(check, "tests/unit/a.cc", "std::this_thread::sleep_for(1ms);", "usleep(5);", "absl::SleepFor(x);")
        self.assert_fine(check, "server/a.cc", "// rand() is banned", 'Say("do not call system()");', "my.system(1);",
                         "static_assert(true);", "using namespace std::chrono_literals;", "operand(x)", "R\"(rand())\"",
                         "int n = 1'000; /* throw */", "BATON_CHECK(x)")
        self.assert_fine(check, "server/a.cc", "t.detach();  // allowed: ends by itself", "// allowed: it ends by itself\nt.detach();")
        self.assert_faults(check, "server/a.cc", "t.detach();  // allowed:", "// allowed: too far away\n\nt.detach();")
        self.assert_fine(check, "tests/crash/a.cc", "usleep(5);")
        self.assert_fine(check, "tests/unit/a.cc", "EXPECT_THROW(x, y);")

    def test_files_nobody_builds_or_includes_are_found(self):
        check = rules.listed_sources
        lists = {"base/CMakeLists.txt": "add_library(base a.cc\n${CMAKE_CURRENT_SOURCE_DIR}/sub/c.cc) # old.cc"}
        self.assertEqual(check({**lists, "base/a.cc": '#include "base/a.h"', "base/a.h": "", "base/sub/c.cc": ""}), [])
        self.assertTrue(check({**lists, "base/b.cc": ""}))
        self.assertTrue(check({**lists, "base/old.cc": ""}))
        self.assertTrue(check({**lists, "base/unused.h": ""}))
        public = {"client/include/baton/a.h": "", "client/CMakeLists.txt": "a.cc", "client/a.cc": '#include "baton/a.h"'}
        self.assertEqual(check(public), [])

    def test_scripts_are_executable_strict_and_used(self):
        good = {"scripts/a.sh": "#!/usr/bin/env bash\nset -euo pipefail\n", "README.md": "scripts/a.sh"}
        self.assertEqual(rules.scripts(good, lambda path: path.endswith(".sh")), [])
        self.assertTrue(rules.scripts(good, lambda path: False))
        self.assertTrue(rules.scripts(good, lambda path: True))
        self.assertTrue(rules.scripts({**good, "README.md": ""}, lambda path: path.endswith(".sh")))
        self.assertTrue(rules.scripts({**good, "scripts/a.sh": "#!/usr/bin/env bash\n"}, lambda path: path.endswith(".sh")))

    def test_markers_and_machine_paths_are_found_everywhere(self):
        self.assert_faults(rules.markers, "docs/a.md", "TO" + "DO: write", "// X" + "XX")
        self.assert_fine(rules.markers, "tests/a.cc", "mkdtemp(baton-XXXXXX)", "kTodos")
        self.assert_faults(rules.machine_paths, "docs/a.md", "see /ro" + "ot/x", "cd /wo" + "rk/main")
        self.assert_fine(rules.machine_paths, "docs/a.md", "/usr/share", "/home/me", "a/work/b", "bin/root/x")

    def test_length_names_and_layout(self):
        self.assert_faults(rules.lengths, "base/a.cc", "\n" * 401, "x" * 111, "a \n", "\ta")
        self.assert_fine(rules.lengths, "tests/unit/a.cc", "\n" * 599)
        self.assert_faults(rules.lengths, "tests/unit/a.cc", "\n" * 601)
        self.assert_faults(rules.names, "base/string_util.cc", "")
        self.assert_faults(rules.names, "base/a.h", "int x;")
        self.assert_fine(rules.names, "base/utilisation.h", "#pragma once")

    def test_links_lead_somewhere(self):
        self.assertTrue(rules.links({"docs/a.md": "[x](b.md)"}))
        self.assertTrue(rules.links({"README.md": "[x](docs/)"}))
        self.assertEqual(rules.links({"docs/a.md": "[x](../README.md#top) [y](https://e.org) `[z](q)`", "README.md": ""}), [])

    def test_options_are_documented(self):
        declared = {"server/config/config.cc": '  PathOption("data_dir",\n  ChoiceOption<Level>("log_level",'}
        self.assertEqual(len(rules.documented_options({**declared, "docs/operations.md": "data_dir, `log_level`"})), 2)
        table = "| `data_dir`, `log_level` | none | words |"
        self.assertEqual(rules.documented_options({**declared, "docs/operations.md": table}), [])


if __name__ == "__main__":
    unittest.main()
