package main

import (
	"time"
)

// config is the configuration file. docs/config.md says what each key means; a test
// holds the two together.
type config struct {
	Server  serverConfig  `toml:"server"`
	TLS     tlsConfig     `toml:"tls"`
	Storage storageConfig `toml:"storage"`
	Auth    authConfig    `toml:"auth"`
	Devices devicesConfig `toml:"devices"`
	Grace   graceConfig   `toml:"grace"`
	Limits  limitsConfig  `toml:"limits"`
	Log     logConfig     `toml:"log"`
	Sites   []siteConfig  `toml:"site"`

	file string // where it was read
	site string // of sites(): its name; empty: the tables
}

type serverConfig struct {
	Listen         string   `toml:"listen"`
	PublicURL      string   `toml:"public_url"`
	TrustedProxies []subnet `toml:"trusted_proxies"`
	ProxyProtocol  bool     `toml:"proxy_protocol"`
	MetricsListen  string   `toml:"metrics_listen"`
	IdleTimeout    duration `toml:"idle_timeout"`
}

type tlsConfig struct {
	Cert string `toml:"cert"`
	Key  string `toml:"key"`
}

type storageConfig struct {
	Path      string             `toml:"path"`
	State     string             `toml:"state"`
	Dedup     oneOf[dedupValues] `toml:"dedup"`
	SharePHP  bool               `toml:"share_php"`
	SyncBytes size               `toml:"sync_bytes"`
	SyncEvery duration           `toml:"sync_every"`
}

type authConfig struct {
	Secrets        []secret       `toml:"secrets"`
	SecretFile     string         `toml:"secret_file"`
	Schemes        []scheme       `toml:"schemes"`
	LegacyFullPath bool           `toml:"legacy_full_path"`
	Issuers        []issuerConfig `toml:"issuer"`
}

// issuerConfig binds secrets to schemes.
type issuerConfig struct {
	Schemes        []scheme `toml:"schemes"`
	Secrets        []secret `toml:"secrets"`
	SecretFile     string   `toml:"secret_file"`
	LegacyFullPath bool     `toml:"legacy_full_path"`
}

type devicesConfig struct {
	Enrol oneOf[enrolValues] `toml:"enrol"`
	Nonce bool               `toml:"nonce"`
}

type graceConfig struct {
	Base    duration `toml:"base"`
	Mobile  duration `toml:"mobile"`
	Desktop duration `toml:"desktop"`
	Restore duration `toml:"restore"`
	Ultra   duration `toml:"ultra"`
}

type limitsConfig struct {
	MaxUploadSize       size     `toml:"max_upload_size"`
	IncompleteBytes     size     `toml:"incomplete_bytes"`
	IncompletePerSource int      `toml:"incomplete_per_source"`
	QuotaPerUser        size     `toml:"quota_per_user"`
	QuotaTotal          size     `toml:"quota_total"`
	Retention           duration `toml:"retention"`
	MinFree             size     `toml:"min_free"`
	RatePerIdentity     pace     `toml:"rate_per_identity"`
	RatePerAddress      pace     `toml:"rate_per_address"`
}

type logConfig struct {
	Level  oneOf[levelValues]  `toml:"level"`
	Format oneOf[formatValues] `toml:"format"`
	File   string              `toml:"file"`
}

type (
	enrolValues  struct{}
	levelValues  struct{}
	formatValues struct{}
	dedupValues  struct{}
)

func (enrolValues) values() []string  { return []string{"slot", "code", "off"} }
func (levelValues) values() []string  { return []string{"debug", "info", "warn", "error"} }
func (formatValues) values() []string { return []string{"text", "json"} }
func (dedupValues) values() []string  { return []string{"off", "link", "reflink"} }

// defaults is the configuration of an empty file.
func defaults() *config {
	return &config{
		Server: serverConfig{
			Listen:      "0.0.0.0:8080",
			PublicURL:   "https://upload.example.org/upload/",
			IdleTimeout: duration(120 * time.Second),
		},
		Storage: storageConfig{
			Path: "/var/lib/holdfast/files", State: "/var/lib/holdfast/state", Dedup: oneOf[dedupValues]{"off"},
			SyncBytes: 8 << 20, SyncEvery: duration(time.Second),
		},
		Devices: devicesConfig{Enrol: oneOf[enrolValues]{"slot"}},
		Grace: graceConfig{
			Base: hours(8), Mobile: hours(12), Desktop: hours(24), Restore: hours(48), Ultra: hours(72),
		},
		Limits: limitsConfig{MaxUploadSize: 500 << 20, IncompleteBytes: 10 << 30, IncompletePerSource: 20, MinFree: 1 << 30},
		Log:    logConfig{Level: oneOf[levelValues]{"info"}, Format: oneOf[formatValues]{"text"}},
	}
}

func hours(n int) duration { return duration(time.Duration(n) * time.Hour) }
