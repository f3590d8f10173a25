#include "daemon/config.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>

namespace vs::daemon {
namespace {

class ConfigTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "vsd-config-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  std::string file(const std::string& name, const std::string& text, mode_t mode = 0600) {
    const std::string path = directory_ + "/" + name;
    std::ofstream(path) << text;
    EXPECT_EQ(::chmod(path.c_str(), mode), 0);
    return path;
  }

  Result<Startup> load(const std::vector<std::string>& arguments) {
    return load_config(arguments, [this](const char* name) -> const char* {
      const auto found = environment_.find(name);
      return found == environment_.end() ? nullptr : found->second.c_str();
    });
  }

  Startup good(const std::vector<std::string>& arguments) {
    auto startup = load(arguments);
    EXPECT_TRUE(startup.ok()) << startup.status().to_string();
    return startup.ok() ? *std::move(startup) : Startup{};
  }

  // The message of the error that must come.
  std::string complaint(const std::vector<std::string>& arguments) {
    const auto startup = load(arguments);
    EXPECT_FALSE(startup.ok());
    EXPECT_EQ(startup.status().code(), Code::kBadArgument);
    return startup.status().message();
  }

  static std::string origin(const Startup& startup, std::string_view key) {
    for (const Setting& setting : startup.settings) {
      if (setting.key == key) return setting.origin;
    }
    return "no such key";
  }

  std::string directory_;
  std::map<std::string, std::string> environment_;
};

bool contains(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

TEST_F(ConfigTest, Defaults) {
  const Startup startup = good({});
  EXPECT_EQ(startup.action, Startup::Action::kServe);
  EXPECT_EQ(startup.config.data_dir, "./vsd-data");
  EXPECT_EQ(startup.config.listen_host, "127.0.0.1");
  EXPECT_EQ(startup.config.listen_port, 8700);
  EXPECT_EQ(startup.config.socket, "");
  EXPECT_EQ(startup.config.threads, 0u);
  EXPECT_EQ(startup.config.durability, storage::Durability::kAlways);
  EXPECT_EQ(startup.config.log_level, "info");
  EXPECT_FALSE(startup.config.free_space_reserve_mb);
  EXPECT_EQ(startup.config.replay_budget_s, 10u);
  EXPECT_EQ(startup.config.checkpoint_operations, 1'000'000u);
  EXPECT_EQ(startup.config.checkpoint_interval_s, 300u);
  EXPECT_EQ(origin(startup, "listen"), "default");
}

TEST_F(ConfigTest, FlagsOverEnvironmentOverFileOverDefaults) {
  const std::string path = file("vsd.conf",
                                "# a comment\n"
                                "\n"
                                "  data-dir = /from file # another\n"
                                "threads=3\r\n"
                                "durability =\tinterval\n"
                                "log-level = warn");
  environment_ = {{"VSD_THREADS", "5"}, {"VSD_DURABILITY", "none"}, {"VSD_KERNELS", "portable"}};
  const Startup startup = good({"--config", path, "--durability=always", "--listen", "[::1]:0"});
  EXPECT_EQ(startup.config.data_dir, "/from file");
  EXPECT_EQ(startup.config.threads, 5u);
  EXPECT_EQ(startup.config.durability, storage::Durability::kAlways);
  EXPECT_EQ(startup.config.log_level, "warn");
  EXPECT_EQ(startup.config.listen_host, "::1");
  EXPECT_EQ(startup.config.listen_port, 0);
  EXPECT_EQ(origin(startup, "data-dir"), path + ":3");
  EXPECT_EQ(origin(startup, "threads"), "environment VSD_THREADS");
  EXPECT_EQ(origin(startup, "durability"), "flag --durability");
  EXPECT_EQ(origin(startup, "log-level"), path + ":6");
  EXPECT_EQ(origin(startup, "socket"), "default");
}

TEST_F(ConfigTest, TheFileMayComeFromTheEnvironment) {
  environment_["VSD_CONFIG"] = file("vsd.conf", "threads = 7\n");
  EXPECT_EQ(good({}).config.threads, 7u);
  const std::string other = file("other.conf", "threads = 8\n");
  EXPECT_EQ(good({"--config", other}).config.threads, 8u);
}

TEST_F(ConfigTest, DescriptionIsAConfigurationFile) {
  const Startup startup = good({"--check-config", "--data-dir", "some where", "--threads", "2", "--socket", "s"});
  EXPECT_EQ(startup.action, Startup::Action::kCheckConfig);
  const std::string text = describe(startup.settings);
  EXPECT_TRUE(contains(text, "data-dir = some where")) << text;
  EXPECT_TRUE(contains(text, "# flag --data-dir")) << text;
  const Startup again = good({"--config", file("again.conf", text)});
  EXPECT_EQ(describe(again.settings).substr(0, 22), text.substr(0, 22));
  EXPECT_EQ(again.config.data_dir, "some where");
  EXPECT_EQ(again.config.threads, 2u);
  EXPECT_EQ(again.config.socket, "s");
  EXPECT_EQ(again.config.token_file, "");
}

TEST_F(ConfigTest, UnknownKeyNamesFileLineAndNearest) {
  const std::string path = file("vsd.conf", "threads = 1\ndata_dir = x\n");
  const std::string message = complaint({"--config", path});
  EXPECT_TRUE(contains(message, path + ":2: unknown key 'data_dir'; did you mean data-dir?")) << message;
  EXPECT_TRUE(contains(message, "checkpoint-interval-s")) << message;
  EXPECT_TRUE(contains(complaint({"--config", file("b.conf", "config = x\n")}), "unknown key 'config'"));
}

TEST_F(ConfigTest, BrokenFiles) {
  EXPECT_TRUE(contains(complaint({"--config", directory_ + "/none"}), "No such file"));
  EXPECT_TRUE(contains(complaint({"--config", directory_}), "cannot read"));
  EXPECT_TRUE(contains(complaint({"--config", file("a", "threads 4\n")}), "a:1: expected `key = value`"));
  EXPECT_TRUE(
      contains(complaint({"--config", file("b", "threads=1\nthreads=1\n")}), "b:2: threads is set a second time"));
  EXPECT_TRUE(contains(complaint({"--config", file("c", "threads=no\n")}), "c:1: threads must be an integer from 0"));
  EXPECT_TRUE(contains(complaint({"--config", file("d", std::string((1 << 20) + 1, '#'))}), "larger than 1 MiB"));
}

TEST_F(ConfigTest, BadValuesSayWhatIsRight) {
  EXPECT_TRUE(
      contains(complaint({"--threads", "-1"}), "flag --threads: threads must be an integer from 0 to 1024, got '-1'"));
  EXPECT_TRUE(contains(complaint({"--threads", "1.5"}), "got '1.5'"));
  EXPECT_TRUE(contains(complaint({"--durability", "sometimes"}), "must be always, interval or none, got 'sometimes'"));
  EXPECT_TRUE(contains(complaint({"--log-level", "INFO"}), "must be one of trace, debug, info"));
  EXPECT_TRUE(contains(complaint({"--data-dir", ""}), "data-dir must be the path of a directory"));
  EXPECT_TRUE(contains(complaint({"--socket", std::string(108, 'x')}), "at most 107 bytes"));
  EXPECT_TRUE(contains(complaint({"--checkpoint-operations", "0"}), "from 1 to"));
  EXPECT_TRUE(contains(complaint({"--checkpoint-interval-s", "99999999999"}), "from 1 to 86400"));
  EXPECT_TRUE(contains(complaint({"--free-space-reserve-mb", "-5"}), "from 0 to"));
  environment_["VSD_THREADS"] = "many";
  EXPECT_TRUE(contains(complaint({}), "environment VSD_THREADS: threads must be"));
}

TEST_F(ConfigTest, ListenNeedsAnAddressAndAPort) {
  EXPECT_EQ(good({"--listen", "localhost:1"}).config.listen_host, "127.0.0.1");
  for (const std::string value : {"8700", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1", "example.org:1",
                                  ":1", "::1:1", "[127.0.0.1]:1", "127.0.0.1:1x", ""}) {
    EXPECT_TRUE(contains(complaint({"--listen", value}), "listen must be HOST:PORT")) << value;
  }
}

TEST_F(ConfigTest, OtherMachinesNeedAToken) {
  EXPECT_TRUE(contains(complaint({"--listen", "0.0.0.0:1"}), "a token-file is needed"));
  EXPECT_TRUE(contains(complaint({"--listen", "[::]:1"}), "a token-file is needed"));
  const std::string token = file("token", "s3cret-word\n");
  const Startup startup = good({"--listen", "0.0.0.0:1", "--token-file", token});
  EXPECT_EQ(startup.config.token, "s3cret-word");
}

TEST_F(ConfigTest, TokenFilesArePrivateAndHoldOneWord) {
  EXPECT_TRUE(contains(complaint({"--token-file", file("a", "word", 0640)}), "chmod 600"));
  EXPECT_TRUE(contains(complaint({"--token-file", file("b", "word", 0604)}), "chmod 600"));
  EXPECT_TRUE(contains(complaint({"--token-file", file("c", " \n")}), "must hold one word"));
  EXPECT_TRUE(contains(complaint({"--token-file", file("d", "two words")}), "must hold one word"));
  EXPECT_TRUE(contains(complaint({"--token-file", directory_ + "/none"}), "No such file"));
  EXPECT_EQ(good({"--token-file", file("e", "word", 0400)}).config.token, "word");
}

TEST_F(ConfigTest, UnknownFlagNamesTheNearest) {
  EXPECT_TRUE(contains(complaint({"--data-dri", "x"}), "unknown argument '--data-dri'; did you mean --data-dir?"));
  EXPECT_TRUE(contains(complaint({"--lisen=x"}), "did you mean --listen?"));
  EXPECT_TRUE(contains(complaint({"extra"}), "unknown argument 'extra'"));
  EXPECT_TRUE(contains(complaint({"--threads"}), "--threads"));
  EXPECT_TRUE(contains(complaint({"--threads", "1", "--threads", "2"}), "--threads"));
}

TEST_F(ConfigTest, Restore) {
  EXPECT_TRUE(good({}).restore.empty());
  const Startup startup = good({"--restore", "old/snapshots/monday", "--data-dir=new"});
  EXPECT_EQ(startup.action, Startup::Action::kServe);
  EXPECT_EQ(startup.restore, "old/snapshots/monday");
  EXPECT_EQ(startup.config.data_dir, "new");
  EXPECT_TRUE(contains(complaint({"--restore", ""}), "path of a snapshot"));
  EXPECT_TRUE(contains(complaint({"--restore", "x", "--check", "d"}), "--check takes its directory"));
}

TEST_F(ConfigTest, CheckOfADirectoryReadsNoSettings) {
  environment_["VSD_CONFIG"] = directory_ + "/none";
  Startup startup = good({"--check", "some where"});
  EXPECT_EQ(startup.action, Startup::Action::kCheckDirectory);
  EXPECT_EQ(startup.directory, "some where");
  EXPECT_FALSE(startup.deep);
  startup = good({"--deep", "--check=d"});
  EXPECT_EQ(startup.directory, "d");
  EXPECT_TRUE(startup.deep);
  environment_.clear();
  EXPECT_TRUE(contains(complaint({"--deep"}), "--check"));
  EXPECT_TRUE(contains(complaint({"--check", ""}), "the path of a data directory"));
  for (const std::string other : {"--threads=1", "--data-dir=d", "--check-config", "--config=c"}) {
    EXPECT_TRUE(contains(complaint({"--check", "d", other}), "its directory and --deep only")) << other;
  }
}

TEST_F(ConfigTest, HelpAndVersionArePrinted) {
  const Startup help = good({"--help"});
  EXPECT_EQ(help.action, Startup::Action::kPrint);
  for (const std::string_view flag :
       {"--config", "--data-dir", "--listen", "--socket", "--threads", "--durability", "--token-file", "--log-level",
        "--free-space-reserve-mb", "--replay-budget-s", "--checkpoint-operations", "--checkpoint-interval-s",
        "--restore", "--check-config", "--check", "--deep", "--version"}) {
    EXPECT_TRUE(contains(help.text, flag)) << flag;
  }
  const Startup version = good({"--version"});
  EXPECT_EQ(version.action, Startup::Action::kPrint);
  EXPECT_EQ(version.text, "vsd " VS_VERSION "\n");
}

}  // namespace
}  // namespace vs::daemon
