//! What HTTP/2 connections obey.

/// See the option table.
#[derive(Clone, Debug, Default)]
pub struct Http2 {
    /// Nothing else is spoken: not an option, only `PAGI::Server::Connection` sets it.
    pub only: bool,
    /// SETTINGS_MAX_CONCURRENT_STREAMS.
    pub streams: u32,
    /// SETTINGS_INITIAL_WINDOW_SIZE.
    pub window: u32,
    /// SETTINGS_MAX_FRAME_SIZE.
    pub frame: u32,
    /// SETTINGS_ENABLE_CONNECT_PROTOCOL.
    pub connect: bool,
    /// SETTINGS_MAX_HEADER_LIST_SIZE.
    pub header_list: u32,
    /// Resets that a client may send at once; none for no limit.
    pub rst_burst: Option<u32>,
    /// And as many more each second.
    pub rst_rate: u32,
}

impl Http2 {
    /// Takes over a rate limit as the option table has its default.
    pub fn limit_resets(&mut self, limit: &str) {
        let mut words = limit.split(' ');
        while let (Some(key), Some(value)) = (words.next(), words.next()) {
            self.set(&format!("h2_rst_{key}"), value.parse().unwrap_or_default());
        }
    }

    /// Takes over one option; false for a name that is none.
    pub fn set(&mut self, name: &str, value: u32) -> bool {
        match name {
            "h2_only" => self.only = value > 0,
            "h2_max_concurrent_streams" => self.streams = value,
            "h2_initial_window_size" => self.window = value,
            "h2_max_frame_size" => self.frame = value,
            // Servers must not say that they push (RFC 9113 6.5.2).
            "h2_enable_push" => {}
            "h2_enable_connect_protocol" => self.connect = value > 0,
            "h2_max_header_list_size" => self.header_list = value,
            "h2_rst_burst" => self.rst_burst = (value > 0).then_some(value),
            "h2_rst_rate" => self.rst_rate = value,
            _ => return false,
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    #[test]
    fn the_rate_limit_of_resets_is_that_of_the_table() {
        let settings = Config::default().h2;
        assert_eq!((settings.rst_burst, settings.rst_rate), (Some(1000), 33));
    }
}
